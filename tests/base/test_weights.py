"""Rows of a base's weights come in order, in float32, and never from a changed file unnoticed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from lorabay.base.files import BaseFiles
from lorabay.base.weights import BaseWeights
from lorabay.errors import SetupError
from tests import making
from tests.base.quantised.layouts import KINDS, quantise
from tests.merge.bases import make_base

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


@pytest.mark.parametrize("kind", KINDS)
def test_packed_weights_come_dense(kind: str, tmp_path: Path) -> None:
    """In rows of their own shape, with the values that the packing stands for."""
    base = make_base(tmp_path / "base", files=1, dtype="F16")
    dense = quantise(base, kind)
    weights = BaseWeights.open(base)
    for name, expected in dense.items():
        assert weights.problem(name) is None
        assert weights.shape(name) == tuple(expected.shape)
        np.testing.assert_allclose(weights.whole(name), expected.numpy(), rtol=2e-7, atol=0)


def test_a_packed_weight_comes_in_blocks_of_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a stored one does, though it is made as a whole."""
    monkeypatch.setattr("lorabay.base.weights._BLOCK_BYTES", 1)
    base = make_base(tmp_path / "base", files=1, dtype="F16")
    name, expected = next(iter(quantise(base, "awq").items()))
    blocks = list(BaseWeights.open(base).blocks(name))
    assert [first for first, _ in blocks] == list(range(len(expected)))
    assert {rows.shape for _, rows in blocks} == {(1, expected.shape[1])}


def test_a_packing_without_weights_explains_nothing(tmp_path: Path) -> None:
    """A config that says it is packed over files that are not: plain tensors stay readable."""
    base = make_base(tmp_path / "base", files=1, dtype="F16")
    config = json.loads((base / "config.json").read_bytes())
    config["quantization_config"] = {"quant_method": "awq", "bits": 4, "group_size": 8}
    (base / "config.json").write_text(json.dumps(config))
    weights = BaseWeights.open(base)
    assert weights.unpacked == {}
    assert weights.shape("nothing") is None
