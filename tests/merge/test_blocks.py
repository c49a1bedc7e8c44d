"""Rows of one tensor through the hot loop: the bytes that are written, and the sums over them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lorabay.errors import SetupError
from lorabay.merge import blocks
from lorabay.merge.blocks import Merging, Place, Tally, Workspace
from lorabay.merge.steps import Addition, Replacement
from tests.making import Stored, stored, values

ROWS, COLUMNS = 7, 5
RANDOM = np.random.default_rng(0)
W, D = (RANDOM.standard_normal((ROWS, COLUMNS)).astype(np.float32) for _ in range(2))
FIRST = 16
"""Byte at which the tensors begin in the test's files."""


@pytest.fixture
def target(tmp_path: Path) -> Iterator[int]:
    file = os.open(tmp_path / "target", os.O_RDWR | os.O_CREAT)
    yield file
    os.close(file)


def base_file(tmp_path: Path, tensor: Stored) -> int:
    path = tmp_path / "base"
    path.write_bytes(b"x" * FIRST + tensor.data)
    return os.open(path, os.O_RDONLY)


def written(tmp_path: Path, dtype: str) -> np.ndarray:
    data = (tmp_path / "target").read_bytes()[FIRST:]
    return values(Stored(dtype, (ROWS, COLUMNS), data))


@pytest.mark.parametrize("dtype", ["F32", "F16"])
@pytest.mark.parametrize("block", [1, 7, 1 << 17])
def test_rows_in_any_blocks(
    tmp_path: Path, target: int, dtype: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of any size and tasks in any order give the same bytes and the same sums."""
    monkeypatch.setattr(blocks, "BLOCK_NUMBERS", block)
    source = base_file(tmp_path, stored(W))
    merging = Merging(
        Place(source, FIRST, "F32", COLUMNS),
        (Addition(D),),
        None,
        Place(target, FIRST, dtype, COLUMNS),
    )
    space = Workspace(np.float32)
    tally = space.run(merging, slice(4, ROWS)).plus(space.run(merging, slice(0, 4)))
    os.close(source)

    expected = (W + D).astype(np.float16 if dtype == "F16" else np.float32)
    np.testing.assert_array_equal(written(tmp_path, dtype), expected)
    assert tally.count == tally.changed == W.size
    assert tally.weight == pytest.approx(float((W**2).sum()), rel=1e-5)
    assert tally.change == pytest.approx(float((D**2).sum()), rel=1e-4)


def test_a_known_change_is_counted_once(target: int) -> None:
    """It comes with the first rows, and is not measured."""
    place = Place(target, FIRST, "F32", COLUMNS)
    merging = Merging(W, (Addition(D),), 3.0, place)
    space = Workspace(np.float32)
    assert space.run(merging, slice(0, 4)).change == 9.0
    assert space.run(merging, slice(4, ROWS)).change == 0.0


def test_numbers_that_stay_are_not_counted(target: int) -> None:
    """In another dtype, a number counts as changed if the base's own would be stored otherwise."""
    changed = W.copy()
    changed[2] += 1
    changed[3] *= 1 + 2**-20
    merging = Merging(W, (Replacement(changed),), None, Place(target, FIRST, "F16", COLUMNS))
    assert Workspace(np.float32).run(merging, slice(0, ROWS)).changed == COLUMNS


def test_a_tensor_without_steps_is_only_rounded(tmp_path: Path, target: int) -> None:
    """Nothing is counted but numbers that are too large."""
    large = W.copy()
    large[0, 0] = 1e6
    merging = Merging(large, (), None, Place(target, FIRST, "F16", COLUMNS))
    tally = Workspace(np.float32).run(merging, slice(0, ROWS))
    assert tally == Tally(not_finite=1)
    np.testing.assert_array_equal(written(tmp_path, "F16")[1:], W[1:].astype(np.float16))


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
@pytest.mark.parametrize("computed", [np.float32, np.float64])
@pytest.mark.parametrize("has_steps", [True, False])
def test_numbers_that_are_no_longer_finite_are_counted(
    target: int, dtype: str, computed: type, has_steps: bool
) -> None:
    """In every dtype; those that the base has itself are no fault of the merge."""
    broken = W.copy()
    broken[0, :2] = np.nan, -np.inf
    merged = broken.copy()
    if has_steps:
        merged[1, :3] = np.inf, np.nan, -np.inf
    steps = (Replacement(merged),) if has_steps else ()
    merging = Merging(broken, steps, None, Place(target, FIRST, dtype, COLUMNS))
    tally = Workspace(computed).run(merging, slice(0, ROWS))
    assert tally.not_finite == (3 if has_steps else 0)


@pytest.mark.parametrize(("dtype", "count"), [("BF16", 2), ("F32", 2), ("F64", 0), ("F16", 3)])
def test_the_range_is_that_of_the_output(target: int, dtype: str, count: int) -> None:
    """A float64 on the way holds more than the others."""
    large = W.astype(np.float64)
    large[2, :3] = 1e200, -4e38, 3e38
    merging = Merging(W, (Replacement(large),), None, Place(target, FIRST, dtype, COLUMNS))
    assert Workspace(np.float64).run(merging, slice(0, ROWS)).not_finite == count


def test_a_base_that_became_shorter(tmp_path: Path, target: int) -> None:
    """It is an error, and not zeros in the output."""
    source = base_file(tmp_path, stored(W[:3]))
    merging = Merging(
        Place(source, FIRST, "F32", COLUMNS), (), None, Place(target, FIRST, "F32", COLUMNS)
    )
    with pytest.raises(SetupError, match="became shorter"):
        Workspace(np.float32).run(merging, slice(0, ROWS))
    os.close(source)
