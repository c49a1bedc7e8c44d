"""Rows of a base's weights come in order, in float32, and never from a changed file unnoticed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from lorabay.base.files import BaseFiles
from lorabay.base.weights import BaseWeights
from lorabay.errors import SetupError
from tests import making

NAME = "model.layers.0.mlp.up_proj.weight"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A base whose first weight of its kind counts from zero."""
    base = making.make_base(tmp_path / "base")
    tensors = making.load(base / "model.safetensors")
    counted = np.arange(making.INNER * making.HIDDEN).reshape(making.INNER, making.HIDDEN) % 256
    tensors[NAME] = making.stored(counted, "BF16")
    tensors["packed"] = making.stored(np.zeros(4), "I32")
    making.save(base / "model.safetensors", tensors)
    return base


@pytest.mark.parametrize("block_bytes", [1, 100, 1 << 20])
def test_blocks_are_whole_rows_in_order(
    folder: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    """However small a block is, its rows are whole, and all together are the weight."""
    monkeypatch.setattr("lorabay.base.weights._BLOCK_BYTES", block_bytes)
    blocks = list(BaseWeights.open(folder).blocks(NAME))
    firsts = [first for first, _ in blocks]
    assert firsts == np.cumsum([0, *(len(rows) for _, rows in blocks[:-1])]).tolist()
    rows = np.concatenate([rows for _, rows in blocks])
    assert rows.dtype == np.float32
    assert rows.tolist() == making.values(making.load(folder / "model.safetensors")[NAME]).tolist()


def test_a_vector_comes_as_one_column(folder: Path) -> None:
    """A norm has as many rows as numbers."""
    ((first, rows),) = BaseWeights.open(folder).blocks("model.norm.weight")
    assert (first, rows.shape) == (0, (making.HIDDEN, 1))


def test_values_that_are_not_available_have_a_reason(folder: Path) -> None:
    """A tensor that is absent or packed is said to be so, and a plain one is not."""
    weights = BaseWeights.open(folder)
    assert weights.problem(NAME) is None
    assert "stores no other" in str(weights.problem("other"))
    assert "as I32" in str(weights.problem("packed"))


def test_the_identity_changes_with_the_files(folder: Path) -> None:
    """It is that of the files when they were opened; another time of change is another identity."""
    files = BaseFiles.open(folder)
    first = BaseWeights.of(files).identity
    assert BaseWeights.open(folder).identity == first
    os.utime(folder / "model.safetensors", (1, 1))
    assert BaseWeights.of(files).identity == first
    assert BaseWeights.open(folder).identity != first


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda path: os.truncate(path, path.stat().st_size // 2), "became shorter"),
        (Path.unlink, "cannot be read"),
    ],
)
def test_a_base_that_changes_is_an_expected_failure(folder: Path, spoil: object, text: str) -> None:
    """Reading rows of a file that is gone or cut short names the file."""
    weights = BaseWeights.open(folder)
    last = max(weights.tensors.values(), key=lambda tensor: tensor.start)
    assert callable(spoil)
    spoil(folder / "model.safetensors")
    with pytest.raises(SetupError, match=text):
        list(weights.blocks(last.name))
