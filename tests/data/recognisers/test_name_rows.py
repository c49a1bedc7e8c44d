"""Names in Latin letters that stand in a row."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.name_rows import find
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Attendees: Ilse, Zork, Noor", ["Ilse", "Zork", "Noor"]),
        ("Team: Jess/Moira/Tunde", ["Jess", "Moira", "Tunde"]),
        ("dependants: Lucia (7), Marco (4)", ["Lucia", "Marco"]),
        ("Megan and Derek share the flat", ["Megan", "Derek"]),
        (
            "1. Dunstan Ware\n2. Zork Vexley\n3. Efua Darko",
            ["Dunstan Ware", "Zork Vexley", "Efua Darko"],
        ),
        ("- Cosmo Trent - keys\n- Verity Marsh - alarm", ["Cosmo Trent", "Verity Marsh"]),
        ("Team: Platform/Search/Billing", []),
        ("London, Paris, Berlin", []),
        ("1. Open Settings\n2. Tap Privacy", []),
        ("Bosch, Siemens and Miele", []),
    ],
)
def test_one_known_name_tells_of_the_others(text: str, pieces: list[str]) -> None:
    """And a row without one is none of names."""
    assert found(find, text) == pieces
