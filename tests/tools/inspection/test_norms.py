"""Norms equal those of the matrices, which are built only where there is no product."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from lorabay.algebra.updates import (
    Dense,
    Directional,
    Gated,
    LowRank,
    PeftLayer,
    Replaced,
    ReplacedRows,
)
from lorabay.base.weights import BaseWeights
from lorabay.tools.inspection import norms
from lorabay.tools.inspection.norms import change_norm, distance, weight_norm

NAME = "model.layers.0.self_attn.q_proj.weight"
NORM = "model.norm.weight"


@pytest.fixture
def weights(base: Path) -> BaseWeights:
    return BaseWeights.open(base)


@pytest.fixture
def weight(base: Path) -> np.ndarray:
    return load_file(base / "model.safetensors")[NAME].double().numpy()


def matrix(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def product(seed: int, rank: int = 3, scale: float = 0.7) -> LowRank:
    a, b = matrix(seed, rank, 32), matrix(seed + 1, 32, rank)
    return LowRank(lambda: a, lambda: b, rank, scale)


def built(update: LowRank) -> np.ndarray:
    return update.scale * update.b().astype(float) @ update.a().astype(float)


def test_the_norm_of_a_weight(weights: BaseWeights, weight: np.ndarray) -> None:
    """A weight that the base does not store has none."""
    assert weight_norm(weights, NAME) == pytest.approx(np.linalg.norm(weight))
    assert weight_norm(weights, "model.layers.9.self_attn.q_proj.weight") is None


def test_products_are_measured_without_being_built(
    weights: BaseWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This holds for one alone, and for the distance to one of another rank."""
    monkeypatch.setattr(norms, "change", pytest.fail)
    one, two = product(1), product(3, rank=5, scale=-2.0)
    assert change_norm((one,), weights, NAME) == pytest.approx(np.linalg.norm(built(one)))
    assert distance((one,), (two,), weights, NAME) == pytest.approx(
        np.linalg.norm(built(one) - built(two))
    )
    assert distance((one,), (one,), weights, NAME) == pytest.approx(0, abs=1e-6)


def test_what_depends_on_the_weight_is_built(weights: BaseWeights, weight: np.ndarray) -> None:
    """DoRA, gates and replaced weights are measured, alone and one after the other."""
    low, gate, values, delta = product(1), matrix(5, 32, 1), matrix(6, 32, 32), matrix(7, 32, 32)
    magnitude = np.abs(matrix(8, 32)) + 1
    directed = weight + built(low)
    directed *= (magnitude / np.linalg.norm(directed, axis=1))[:, None]
    cases = (
        ((Directional(low, lambda: magnitude),), directed),
        ((Gated(lambda: gate),), weight * gate),
        ((Replaced(lambda: values),), values),
        ((Dense(lambda: delta),), weight + delta),
        ((Gated(lambda: gate), low), weight * gate + built(low)),
    )
    for updates, after in cases:
        assert change_norm(updates, weights, NAME) == pytest.approx(
            np.linalg.norm(after - weight), rel=1e-4
        )
    one, two = cases[0], cases[4]
    apart = np.linalg.norm(one[1] - two[1])
    assert distance(one[0], two[0], weights, NAME) == pytest.approx(apart, rel=1e-4)
    assert distance(one[0], (low,), weights, NAME) == pytest.approx(
        np.linalg.norm(one[1] - weight - built(low)), rel=1e-4
    )


@pytest.mark.parametrize(
    "update",
    [PeftLayer("q_proj", ()), ReplacedRows((1,), lambda: matrix(1, 1, 32))],
    ids=["PEFT's", "rows"],
)
def test_what_cannot_be_measured_is_none(
    weights: BaseWeights, update: PeftLayer | ReplacedRows
) -> None:
    """It has neither a norm nor a distance; overflow and a missing weight count as well."""
    assert change_norm((update,), weights, NAME) is None
    assert distance((update,), (product(1),), weights, NAME) is None
    gone = (Gated(lambda: matrix(1, 32, 1)),)
    assert change_norm(gone, weights, "model.layers.9.self_attn.q_proj.weight") is None
    huge = (*2 * (Gated(lambda: np.full((32, 1), 3e38, np.float32)),),)
    assert change_norm(huge, weights, NAME) is None
    assert distance(huge, (product(1),), weights, NAME) is None


def test_vectors_are_measured_too(weights: BaseWeights, base: Path) -> None:
    """Norms that were trained as a whole, or gated, have a norm."""
    before = load_file(base / "model.safetensors")[NORM].double().numpy()
    values, gate = matrix(1, 32), matrix(2, 32)
    assert change_norm((Replaced(lambda: values),), weights, NORM) == pytest.approx(
        np.linalg.norm(values - before)
    )
    assert change_norm((Gated(lambda: gate),), weights, NORM) == pytest.approx(
        np.linalg.norm(before * gate - before)
    )
