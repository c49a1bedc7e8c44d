"""A recipe over seeds."""

from __future__ import annotations

import pytest

from lorabay.search.finalist import least_difference, seed_spread
from tests.search.made import made_finalist


def test_a_finalist_is_the_mean_of_its_seeds() -> None:
    """On dev and on test; the spread is the standard deviation."""
    one = made_finalist("trial-1", [1.0, 1.2], test=2.0)
    assert one.dev_loss == pytest.approx(1.1)
    assert one.spread == pytest.approx(0.1 * 2**0.5)
    assert one.test.value == pytest.approx(2.0 + 9.5 / 50)


def test_the_spread_of_seeds_is_that_of_all_finalists() -> None:
    """One that hardly varies does not make the others' noise smaller than it is."""
    quiet, loud = made_finalist("quiet", [1.0, 1.0]), made_finalist("loud", [1.0, 1.2])
    assert seed_spread([quiet, loud]) == pytest.approx(0.1)


def test_means_differ_by_chance_as_student_says() -> None:
    """By hand: t of 97.5% is 2.306 with 8 degrees of freedom, and three seeds a recipe."""
    finalists = [made_finalist(f"{place}", [1.0, 1.1, 1.2]) for place in range(4)]
    assert least_difference(finalists) == pytest.approx(2.306 * 0.1 * (2 / 3) ** 0.5, rel=1e-4)
