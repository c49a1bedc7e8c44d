"""Addresses in Latin letters as rows of parts between commas."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.english_rows import find
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (
            "send it to The Old Bakery, Mill Lane, Witney OX28 6AB please",
            ["The Old Bakery, Mill Lane, Witney OX28 6AB"],
        ),
        ("Flat 301, Sai Residency, MG Road, Pune 411001", None),
        ("14 Le Loi, District 1, Ho Chi Minh City", None),
        ("One Apple Park Way, Cupertino, CA 95014", None),
        ("Apt. 5, ul. Marszałkowska 10, 00-590 Warszawa", None),
        ("77 Summit Ave., Hackensack, N.J. 07601", None),
        ("City: Omaha 68102", ["Omaha 68102"]),
        ("Address 2: Flat 3", ["Flat 3"]),
        ("Address: pending", []),
        ("I bought Windows 10, Office 365 and a Dell", []),
        ("Monday, Tuesday, Friday", []),
        ("Hello Anna, Thanks, Regards", []),
    ],
)
def test_the_parts_of_a_row_say_enough_together(text: str, pieces: list[str] | None) -> None:
    """Or the row is the value of a field."""
    assert found(find, text) == ([text] if pieces is None else pieces)
