"""A tensor of the output: whether its bytes are copied, its size, and the matrix it is seen as."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lorabay.algebra.updates import Dense
from lorabay.base.tensors import Computed, Stored
from lorabay.merge.tensors import Shard, Target

SHAPE = (3, 4)
STORED = Stored("x", Path("base.safetensors"), "BF16", SHAPE, 100, 24)
COMPUTED = Computed(SHAPE, lambda: np.zeros(SHAPE, np.float32))
UPDATE = Dense(lambda: np.ones(SHAPE, np.float32))


def test_a_tensor_that_stays_is_copied() -> None:
    """Neither an update, nor another dtype, nor a value that must be computed first."""
    assert Target("x", "BF16", SHAPE, STORED).copied == STORED
    assert Target("x", "F32", SHAPE, STORED).copied is None
    assert Target("x", "BF16", SHAPE, STORED, (UPDATE,)).copied is None
    assert Target("x", "BF16", SHAPE, COMPUTED).copied is None


@pytest.mark.parametrize(
    ("shape", "matrix"), [((), (1, 1)), ((5,), (5, 1)), ((3, 4), (3, 4)), ((3, 4, 2), (12, 2))]
)
def test_the_matrix_of_a_tensor(shape: tuple[int, ...], matrix: tuple[int, int]) -> None:
    """Rows stay rows, those of experts follow one another; a vector is a column, and so is a tensor
    without updates.
    """
    with_update = Target("x", "F32", shape, COMPUTED, (UPDATE,))
    assert with_update.matrix == matrix
    assert Target("x", "F32", shape, COMPUTED).matrix == (with_update.numbers, 1)
    by_rows = Computed(shape, COMPUTED.load, rows=lambda _: np.zeros((1, 1), np.float32))
    assert Target("x", "F32", shape, by_rows).matrix == matrix


def test_the_size_of_a_shard() -> None:
    """The file is its header and its tensors, each in its own dtype."""
    shard = Shard("x", (Target("a", "F32", SHAPE, STORED), Target("b", "BF16", SHAPE, STORED)))
    assert shard.size == 12 * 4 + 12 * 2
    assert shard.file_size == len(shard.header) + shard.size
