"""How far judges agree, against krippendorff and against an alpha worked out by hand."""

from __future__ import annotations

import krippendorff
import pytest

from lorabay.judging.ballots import Ballot
from lorabay.judging.reporting.agreement import agreement
from tests.judging.answered import ballot


def votes(anna: str, ben: str) -> list[Ballot]:
    """Votes on as many pairs as there are letters: a, b, or = for a tie; a blank is no vote."""
    return [
        ballot(pair, None if letter == "=" else letter, judge)
        for judge, letters in (("anna", anna), ("ben", ben))
        for pair, letter in enumerate(letters)
        if letter != " "
    ]


def test_alpha_is_krippendorffs() -> None:
    """Of ten pairs one differs, and of the twenty votes seven are a, eleven b, and two ties.

    Alpha is 1 - observed / expected disagreement.
    """
    found = agreement(votes("aaabbbbb=a", "aaabbbbb=b"))
    expected = 2 * (7 * 11 + 7 * 2 + 11 * 2) / (20 * 19)
    assert found.alpha == pytest.approx(1 - 0.1 / expected)
    assert (found.same, found.compared) == (9, 10)

    table = [[1, 1, 1, 2, 2, 2, 2, 2, 0, 1], [1, 1, 1, 2, 2, 2, 2, 2, 0, 2]]
    theirs = krippendorff.alpha(reliability_data=table, level_of_measurement="nominal")
    assert found.alpha == pytest.approx(theirs)
    assert found.meaning == "judges agree well"


def test_pairs_that_one_judge_alone_saw_do_not_count() -> None:
    """They say nothing of agreement."""
    assert agreement(votes("aabb b", "aabb =")) == agreement(votes("aabbab", "aabb ="))


def test_judges_who_disagree_are_told_so() -> None:
    """Below chance, alpha is negative."""
    found = agreement(votes("abab", "baba"))
    assert found.alpha is not None
    assert found.alpha < 0
    assert "hardly agree" in found.meaning


@pytest.mark.parametrize(
    ("anna", "ben", "meaning"),
    [("aaaa", "aaaa", "all votes are the same"), ("aaaa", "", "no pair was judged by two")],
)
def test_where_alpha_is_not_defined(anna: str, ben: str, meaning: str) -> None:
    """Nothing is divided by nothing."""
    found = agreement(votes(anna, ben))
    assert (found.alpha, found.meaning) == (None, meaning)
