"""Each kind of update answers for itself as its formula says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lorabay.algebra.updates import (
    Dense,
    Directional,
    ExpertProducts,
    Gated,
    LowRank,
    PeftLayer,
    Replaced,
    ReplacedRows,
    StoredFactor,
    change,
    transposed,
)
from lorabay.files.safetensors_header import TensorInfo
from tests.algebra.applied import applied, product

if TYPE_CHECKING:
    from lorabay.algebra.updates import Load, Matrix, Update

RANDOM = np.random.default_rng(0)


def matrix(*shape: int) -> Matrix:
    return RANDOM.standard_normal(shape, np.float32)


def always(values: Matrix) -> Load:
    return lambda: values


WEIGHT = matrix(6, 5)
LOW_RANK = LowRank(always(matrix(2, 5)), always(matrix(6, 2)), 2, 0.5)
KINDS: dict[str, Update] = {
    "low-rank": LOW_RANK,
    "directional": Directional(LOW_RANK, always(np.abs(matrix(6)) + 1)),
    "dense": Dense(always(matrix(6, 5))),
    "dense with factors": Dense(LOW_RANK.delta, LOW_RANK),
    "gated outputs": Gated(always(matrix(6, 1))),
    "gated inputs": Gated(always(matrix(1, 5))),
    "replaced": Replaced(always(matrix(6, 5))),
    "rows": ReplacedRows((4, 1), always(matrix(2, 5))),
}


@pytest.mark.parametrize("update", KINDS.values(), ids=KINDS)
def test_the_weight_with_the_update_is_that_of_its_formula(update: Update) -> None:
    """The result is exact up to float32's rounding; the base's weight stays as it is."""
    before = WEIGHT.copy()
    after = update.applied_to(WEIGHT)
    assert after.dtype == np.float32
    np.testing.assert_allclose(after, applied(WEIGHT, (update,)), rtol=1e-5, atol=1e-6)
    assert np.array_equal(WEIGHT, before)


@pytest.mark.parametrize("update", KINDS.values(), ids=KINDS)
def test_a_product_is_exactly_the_change(update: Update) -> None:
    """A product makes the change without the base."""
    exact = update.as_product()
    if exact is not None:
        expected = applied(WEIGHT, (update,)) - WEIGHT
        np.testing.assert_allclose(product(exact), expected, rtol=1e-5, atol=1e-5)


def test_which_kinds_have_what() -> None:
    """The queries by which serving, merging and measuring choose."""
    exact = [name for name, update in KINDS.items() if update.as_product()]
    assert exact == ["low-rank", "dense with factors"]
    trained = [name for name, update in KINDS.items() if update.low_rank]
    assert trained == ["low-rank", "directional"]
    assert [name for name, update in KINDS.items() if not update.needs_base] == ["replaced"]
    assert [name for name, update in KINDS.items() if update.replaces] == ["replaced", "rows"]
    assert all(update.has_formula for update in KINDS.values())
    assert len({update.formula for update in KINDS.values()}) == 6


def test_a_layer_of_pefts_has_no_formula() -> None:
    """`applied_to` raises and names the module."""
    layer = PeftLayer("q_proj", ("a",))
    assert not layer.has_formula
    assert layer.as_product() is layer.low_rank is None
    with pytest.raises(TypeError, match="q_proj"):
        layer.applied_to(WEIGHT)


def test_a_change_is_what_all_updates_add() -> None:
    """They are applied in order: the second one sees what the first one made."""
    updates = (KINDS["replaced"], KINDS["gated outputs"])
    expected = applied(WEIGHT, updates) - WEIGHT
    np.testing.assert_allclose(change(updates, WEIGHT), expected, rtol=1e-5, atol=1e-6)


def test_the_output_scale_is_the_same_in_blocks() -> None:
    """The base's weight need not be in memory at once."""
    update = KINDS["directional"]
    assert isinstance(update, Directional)
    whole = update.output_scale([(0, WEIGHT)])
    blocks = update.output_scale((first, WEIGHT[first : first + 4]) for first in (0, 4))
    np.testing.assert_allclose(blocks, whole, rtol=1e-6)


def test_stored_factors_know_their_tensors() -> None:
    """A factor that is transposed twice is the file's own; a computed one is not."""
    tensors = [TensorInfo(name, "F32", (2, 2), 0, 16) for name in "AB"]
    values = matrix(2, 2)
    a, b = (StoredFactor(tensor, always(values)) for tensor in tensors)
    stored = LowRank(a, b, 2, 1.0)
    assert stored.stored == tuple(tensors)
    assert stored.transposed.stored is None
    assert stored.transposed.transposed.stored == tuple(tensors)
    assert np.array_equal(transposed(a)(), values.T)
    assert LowRank(a, always(values), 2, 1.0).stored is None


def test_a_transposed_product_is_the_change_of_the_transposed_weight() -> None:
    """GPT-2's layers and embeddings need it."""
    np.testing.assert_allclose(LOW_RANK.transposed.delta(), LOW_RANK.delta().T, rtol=1e-6)


@pytest.mark.parametrize("inputs_first", [False, True])
def test_each_expert_has_a_product_of_its_own(inputs_first: bool) -> None:
    """In the shape in which the base stores it, whichever way round that is."""
    shape = (3, 5, 6) if inputs_first else (3, 6, 5)
    update = ExpertProducts(
        always(matrix(3, 2, 5)), always(matrix(3, 6, 2)), 2, 0.5, inputs_first=inputs_first
    )
    weight = matrix(*shape)
    after = update.applied_to(weight)
    assert after.dtype == np.float32
    np.testing.assert_allclose(after, applied(weight, (update,)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(change((update,), weight), update.delta(), rtol=1e-4, atol=1e-5)
    assert update.as_product() is update.low_rank is None
