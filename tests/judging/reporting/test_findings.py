"""What is said of figures: a winner, noise, ties, and what to distrust."""

from __future__ import annotations

import pytest

from lorabay.judging.reporting.duels import duels
from lorabay.judging.reporting.findings import finding, interval, percent, warnings
from lorabay.judging.reporting.shares import share_of
from tests.judging.answered import ballot


@pytest.mark.parametrize(
    ("won", "of", "sentence"),
    [
        (18, 20, "a is better than b: it won 18 of 20 decided pairs, 90% [70, 97]."),
        (2, 20, "b is better than a, which won 2 of 20 decided pairs, 10% [3, 30]."),
        (
            12,
            20,
            "a against b may be noise: it won 12 of 20 decided pairs, 60% [39, 78]. "
            "About 194 decided pairs would show a difference of this size.",
        ),
        (
            10,
            20,
            "a against b may be noise: it won 10 of 20 decided pairs, 50% [30, 70]. "
            "No number of votes that anybody collects would show such a difference.",
        ),
        (0, 0, "a and b: every pair is a tie."),
    ],
)
def test_a_sentence_says_who_is_better_or_that_it_may_be_noise(
    won: int, of: int, sentence: str
) -> None:
    """With the share, its interval, and what it would take to know."""
    votes = [ballot(pair, "a" if pair < won else "b") for pair in range(of)]
    [duel] = duels(["a", "b"], votes or [ballot(0, None)])
    assert finding(duel) == sentence


def test_a_reader_is_warned() -> None:
    """Of judges who have not finished, of a side that wins, and of length."""
    told = warnings({"anna": 40, "ben": 40}, {"anna": 40}, share_of(35, 40), share_of(5, 40))
    assert [warning.partition(":")[0] for warning in told] == [
        "ben has voted on 0 of 40 pairs",
        "the answer at the left won 88% of the decided votes",
        "the shorter answer won 88% of the decided votes",
    ]
    [longer] = warnings({}, {}, share_of(20, 40), share_of(36, 40))
    assert longer.startswith("the longer answer won 90%")
    assert warnings({"anna": 40}, {"anna": 40}, share_of(20, 40), share_of(22, 40)) == ()


def test_shares_are_percent() -> None:
    """One of nothing is a dash."""
    assert interval(share_of(10, 40)) == "25% [14, 40]"
    assert percent(None) == "-"
