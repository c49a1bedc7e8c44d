"""Measures can be taken again of any sample of the answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lorabay.evaluation.measures import loss_of, mean_of, perplexity_of, share_of


def test_values_are_those_of_all_answers() -> None:
    """A loss weighs by tokens, a mean by answers, a share is in percent."""
    loss = loss_of([2.0, 9.0], [1, 4])
    assert loss.value == pytest.approx(11 / 5)
    assert perplexity_of(loss).value == pytest.approx(math.exp(11 / 5))
    assert mean_of("words", [1, 2, 6]).value == pytest.approx(3)
    assert share_of("right", [True, False, True, True]).value == pytest.approx(75)
    assert (loss.count, loss.higher_is_better) == (2, False)


def test_a_sample_is_weighed_by_its_sums() -> None:
    """Two draws at once: the first answer twice, then the second twice."""
    loss = loss_of([2.0, 9.0], [1, 4])
    draws = np.array([[2.0, 0.0], [0.0, 2.0]]) @ loss.statistics
    assert loss.of_sums(draws).tolist() == [2.0, 2.25]


def test_a_perplexity_beyond_every_number_is_a_large_one() -> None:
    """No warning, no bug."""
    assert perplexity_of(loss_of([1000.0], [1])).value == math.exp(500)
