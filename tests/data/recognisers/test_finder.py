"""All recognisers together."""

from __future__ import annotations

from lorabay.data.recognisers.finder import Finder, apart
from lorabay.data.recognisers.finding import Finding
from lorabay.data.recognisers.view import View


def test_of_findings_that_overlap_the_surest_stays() -> None:
    """Then the longest; the rest is in order."""
    sure, long, short = (
        Finding("A", 4, 6, 0.9),
        Finding("B", 0, 6, 0.6),
        Finding("C", 0, 3, 0.6),
    )
    assert apart([long, short, sure]) == [short, sure]
    assert apart([short, long]) == [long]


def test_guesses_do_not_count() -> None:
    """Each text has its own findings."""

    def guess(view: View) -> list[Finding]:
        return [Finding("A", 0, 1, 0.4), Finding("B", 1, 2, 0.8)]

    assert Finder({"A": guess}).find(["xy", "zz"]) == [[Finding("B", 1, 2, 0.8)]] * 2
