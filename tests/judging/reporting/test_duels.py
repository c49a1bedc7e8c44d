"""Two sets against each other: votes, majorities, and when a difference is one."""

from __future__ import annotations

import pytest

from lorabay.judging.reporting.duels import duels, holm
from tests.judging.answered import ballot


def test_votes_and_majorities_are_counted_apart() -> None:
    """Three judges on two pairs: four votes to one, and one pair each way round by majority."""
    votes = [
        *(ballot(1, winner, judge) for judge, winner in (("x", "a"), ("y", "a"), ("z", "b"))),
        *(ballot(2, winner, judge) for judge, winner in (("x", "a"), ("y", "a"), ("z", None))),
        *(ballot(3, winner, judge) for judge, winner in (("x", "a"), ("y", "b"), ("z", None))),
    ]
    [duel] = duels(["b", "a"], votes)

    assert (duel.first, duel.second) == ("a", "b")
    assert (duel.votes.part, duel.votes.total, duel.ties) == (5, 7, 2)
    assert (duel.majorities.part, duel.majorities.total, duel.tied_pairs) == (2, 2, 1)


def test_two_judges_who_agree_are_not_twice_the_evidence() -> None:
    """Five pairs won by all are no proof, however many judges say the same."""
    many = [ballot(pair, "a", judge) for pair in range(5) for judge in "uvwxyz"]
    [duel] = duels(["a", "b"], many)
    assert duel.votes.p < 0.001
    assert duel.p == pytest.approx(2 * 0.5**5)
    assert duel.winner is None


@pytest.mark.parametrize(("won", "winner"), [(17, "a"), (3, "b"), (10, None), (13, None)])
def test_a_winner_is_beyond_luck(won: int, winner: str | None) -> None:
    """Of twenty pairs."""
    [duel] = duels(["a", "b"], [ballot(pair, "a" if pair < won else "b") for pair in range(20)])
    assert duel.winner == winner


def test_several_duels_are_corrected() -> None:
    """Holm's method: the smallest p times their number, and none below the one before."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_sets_that_never_met_have_no_duel() -> None:
    """Ties alone are one, without a winner."""
    [duel] = duels(["a", "b", "c"], [ballot(1, None)])
    assert (duel.first, duel.second, duel.winner) == ("a", "b", None)
