"""Experts are taken out of one update and put back without a change."""

from __future__ import annotations

import numpy as np
import pytest

from lorabay.algebra.expert_products import by_expert, stacked
from lorabay.algebra.updates import ExpertProducts

EXPERTS, RANK, INPUTS, OUTPUTS = 3, 2, 5, 4


def update(*, inputs_first: bool) -> ExpertProducts:
    random = np.random.default_rng(0)
    a = random.standard_normal((EXPERTS, RANK, INPUTS), np.float32)
    b = random.standard_normal((EXPERTS, OUTPUTS, RANK), np.float32)
    return ExpertProducts(lambda: a, lambda: b, RANK, 0.5, inputs_first)


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("stored", [False, True])
def test_each_expert_changes_as_in_the_whole(stored: bool, asked: bool) -> None:
    """Also where another orientation of the matrices is asked for than the update has."""
    whole = update(inputs_first=stored)
    for product, change in zip(by_expert(whole, inputs_first=asked), whole.delta(), strict=True):
        expected = change.T if asked else change
        np.testing.assert_allclose(product.delta(), expected, rtol=1e-5, atol=1e-6)


def test_stacked_factors_are_those_of_the_update() -> None:
    """They come back as they were."""
    whole = update(inputs_first=False)
    products = by_expert(whole, inputs_first=False)
    a, b = stacked([(one.a(), one.b()) for one in products])
    np.testing.assert_array_equal(a, whole.a())
    np.testing.assert_array_equal(b, whole.b())


def test_zeros_fill_up_a_smaller_rank() -> None:
    """They add nothing to the expert's change."""
    one, two = np.ones((1, 2), np.float32), np.ones((2, 2), np.float32)
    a, b = stacked([(one, one.T), (two, two.T)])
    assert a.shape == b.shape == (2, 2, 2)
    np.testing.assert_array_equal(b[0] @ a[0], one.T @ one)
