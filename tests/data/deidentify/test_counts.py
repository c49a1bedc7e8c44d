"""What was found so far."""

from __future__ import annotations

import pytest

from lorabay.data.deidentify.counts import Counts
from lorabay.data.recognisers.finding import Finding
from lorabay.errors import SetupError


def test_findings_are_counted_by_kind_and_language() -> None:
    """In rows that have any."""
    counts = Counts()
    found = [[Finding("PHONE", 2, 13, 1.0)], [], [Finding("PHONE", 0, 8, 1.0)]]
    kinds = counts.add(["电话13812345678", "", "555-0100"], found)
    assert kinds == {"PHONE": 2}
    assert counts.by_kind() == {"PHONE": {"zh": 1, "en": 1}}
    assert counts.rows == 1


def test_what_is_left_is_an_error_that_says_what() -> None:
    """And nothing left is none."""
    counts = Counts()
    counts.add_left([[]])
    counts.check()
    counts.add_left([[Finding("NAME", 0, 2, 1.0)], [Finding("NAME", 0, 2, 1.0)]])
    with pytest.raises(SetupError, match=r"in 1 rows \(NAME: 2\)"):
        counts.check()
