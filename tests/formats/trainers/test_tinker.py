"""Tinker's adapters change the weights as its cookbook merges them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from safetensors.torch import load_file, save_file

from lorabay.algebra.updates import LowRank
from lorabay.base.shapes import BaseShapes
from lorabay.formats.foreign import read_foreign
from lorabay.formats.reading import AdapterUpdates
from lorabay.tools.find_adapter import LIMITS
from tests.formats.trainers import left_behind
from tests.formats.trainers.left_behind import ALPHA, RANK, noise
from tests.formats.trainers.proof import check_read, check_refused

if TYPE_CHECKING:
    from pathlib import Path


def test_weights_are_those_of_its_own_merge(llama: Path, tmp_path: Path) -> None:
    """The head is among them, under the name that the base gives it."""
    read = check_read(left_behind.tinker(llama, tmp_path / "a"), llama)
    assert (read.format, read.rank) == ("tinker", RANK)
    assert "lm_head.weight" in read.updates


def test_experts_may_share_a_factor(tmp_path: Path) -> None:
    """An A for one expert is every expert's; each has its own B."""
    base, folder = tmp_path / "base", tmp_path / "a"
    weights = left_behind.base_of_experts(base, "down_proj")
    a, b = noise(1, RANK, 5, seed=10), noise(3, 6, RANK, seed=11)
    name = "base_model.model.model.layers.0.mlp.experts.w2"
    tensors = {f"{name}.lora_A.weight": a, f"{name}.lora_B.weight": b}
    config = {"r": RANK, "lora_alpha": ALPHA}
    left_behind.write(folder, "adapter_model.safetensors", tensors, "adapter_config.json", config)

    read = read_foreign(folder, BaseShapes.read(base), LIMITS)
    assert isinstance(read, AdapterUpdates), read
    assert list(read.updates) == weights
    for e, name in enumerate(weights):
        (update,) = read.updates[name]
        assert isinstance(update, LowRank)
        expected = (ALPHA / RANK * b[e] @ a[0]).numpy()
        np.testing.assert_allclose(update.delta(), expected, rtol=1e-5, atol=1e-7)


def test_experts_of_a_base_that_fuses_them_are_refused(llama: Path, tmp_path: Path) -> None:
    """A base without a module for each expert has no place for their factors."""
    name = "base_model.model.model.layers.0.mlp.experts.w1"
    tensors = {
        f"{name}.lora_A.weight": noise(2, RANK, 32, seed=0),
        f"{name}.lora_B.weight": noise(2, 48, RANK, seed=1),
    }
    config = {"r": RANK, "lora_alpha": ALPHA}
    folder = tmp_path / "a"
    left_behind.write(folder, "adapter_model.safetensors", tensors, "adapter_config.json", config)
    assert check_refused(folder, llama).codes == {"module_not_in_base"}


def test_a_head_with_two_names_is_refused(llama: Path, tmp_path: Path) -> None:
    """Tinker's own name of it and the base's mean one module."""
    left = left_behind.tinker(llama, tmp_path / "a")
    file = left.folder / "adapter_model.safetensors"
    tensors = load_file(file)
    for factor in ("lora_A", "lora_B"):
        stored = tensors[f"base_model.model.model.unembed_tokens.{factor}.weight"]
        tensors[f"base_model.model.lm_head.{factor}.weight"] = stored * 2
    save_file(tensors, file)
    assert check_refused(left.folder, llama).codes == {"ambiguous_module"}


def test_a_config_with_another_formula_is_refused(llama: Path, tmp_path: Path) -> None:
    """The factor would be another one."""
    left = left_behind.tinker(llama, tmp_path / "a")
    path = left.folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"use_rslora": True}))
    assert check_refused(left.folder, llama).codes == {"config_field"}
