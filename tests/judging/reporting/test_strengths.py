"""Bradley-Terry strengths: known ones are found again, and intervals hold them."""

from __future__ import annotations

import random

import pytest

from lorabay.judging.ballots import Ballot
from lorabay.judging.reporting.strengths import preferences, strengths
from tests.judging.answered import ballot

TRUE = {"a": 4.0, "b": 2.0, "c": 1.0}


def drawn(count: int, seed: int) -> list[Ballot]:
    """Votes on so many pairs of each two sets, by the true strengths."""
    chance = random.Random(seed)
    votes = []
    for first, second in (("a", "b"), ("a", "c"), ("b", "c")):
        for number in range(count):
            first_wins = chance.random() < TRUE[first] / (TRUE[first] + TRUE[second])
            winner = first if first_wins else second
            votes.append(ballot(number, winner, first=first, second=second))
    return votes


def true_preference(name: str) -> float:
    others = [other for other in TRUE if other != name]
    return sum(TRUE[name] / (TRUE[name] + TRUE[other]) for other in others) / len(others)


def test_true_strengths_are_in_their_intervals() -> None:
    """Of votes that were drawn by them; the mean of log-odds is 0, and the strongest is first."""
    found = strengths(["a", "b", "c"], drawn(200, 1), resamples=300)
    assert [one.name for one in found] == ["a", "b", "c"]
    for one in found:
        assert one.low < true_preference(one.name) < one.high
        assert one.low < one.preference < one.high
        assert one.high - one.low < 0.15
    assert sum(one.log_odds for one in found) == pytest.approx(0, abs=1e-6)


def test_more_votes_make_a_narrower_interval() -> None:
    """About half as wide for four times as many."""
    few, many = (strengths(["a", "b", "c"], drawn(count, 1), resamples=200) for count in (50, 200))
    assert many[0].high - many[0].low < 0.75 * (few[0].high - few[0].low)


def test_one_that_never_lost_is_strong_and_not_infinite() -> None:
    """The drawn vote between every two sets keeps it so."""
    votes = [ballot(number, "a") for number in range(9)]
    found = preferences(["a", "b"], votes)
    assert found == pytest.approx({"a": 9.5 / 10, "b": 0.5 / 10}, abs=1e-3)


def test_the_same_votes_give_the_same_intervals() -> None:
    """Reports can be compared."""
    votes = drawn(20, 2)
    assert strengths(["a", "b", "c"], votes) == strengths(["a", "b", "c"], votes)
