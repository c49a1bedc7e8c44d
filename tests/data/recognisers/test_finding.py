"""Findings."""

from __future__ import annotations

from lorabay.data.recognisers.finding import Finding


def test_findings_overlap_if_they_share_a_character() -> None:
    """Those that only touch do not."""
    one = Finding("NAME", 2, 5, 1)
    assert one.overlaps(Finding("NAME", 4, 6, 1))
    assert not one.overlaps(Finding("NAME", 5, 6, 1))
