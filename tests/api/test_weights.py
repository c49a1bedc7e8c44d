"""Weights that need no bringing."""

from __future__ import annotations

from lorabay.api.weights import Weights, WeightsInPlace
from tests.versions import make_version


async def test_weights_in_place_are_always_there() -> None:
    """For an engine that finds weights by itself, every version counts as loaded and nothing is
    noted.
    """
    weights: Weights = WeightsInPlace()
    await weights.ensure(make_version("finance"))
    weights.answered(make_version("finance"))
    weights.ended(make_version("finance"))
