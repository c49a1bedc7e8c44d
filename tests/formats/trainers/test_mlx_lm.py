"""mlx-lm's adapters change the weights as mlx-lm's own fuse does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lorabay.algebra.updates import LowRank
from lorabay.base.shapes import BaseShapes
from lorabay.formats.foreign import read_foreign
from lorabay.formats.reading import AdapterUpdates
from lorabay.tools.find_adapter import LIMITS
from tests.formats.trainers import left_behind
from tests.formats.trainers.left_behind import SCALE, mlx_config, noise
from tests.formats.trainers.proof import check_read, check_refused

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("kind", [{}, {"dora": True}, {"embedding": True}])
def test_weights_are_those_of_its_own_fuse(
    kind: dict[str, bool], llama: Path, tmp_path: Path
) -> None:
    """LoRA, DoRA, and LoRA on the embedding."""
    read = check_read(left_behind.mlx_lm(llama, tmp_path / "a", **kind), llama)
    assert (read.format, read.rank, read.base_model) == ("mlx-lm", 4, "tiny")


def test_experts_in_one_tensor_are_told_apart(tmp_path: Path) -> None:
    """Each expert gets its own slices of both factors, as LoRASwitchLinear.fuse adds them."""
    base, folder = tmp_path / "base", tmp_path / "a"
    weights = left_behind.base_of_experts(base, "gate_proj")
    a, b = noise(3, 2, 5, seed=10), noise(3, 6, 2, seed=11)
    name = "model.layers.0.mlp.switch_mlp.gate_proj"
    tensors = {f"{name}.lora_a": a, f"{name}.lora_b": b}
    config = mlx_config()
    left_behind.write(folder, "adapters.safetensors", tensors, "adapter_config.json", config)

    read = read_foreign(folder, BaseShapes.read(base), LIMITS)
    assert isinstance(read, AdapterUpdates), read
    assert list(read.updates) == weights
    for e, name in enumerate(weights):
        (update,) = read.updates[name]
        assert isinstance(update, LowRank)
        np.testing.assert_allclose(update.delta(), (SCALE * b[e] @ a[e]).numpy(), rtol=1e-6)


def test_a_tied_head_gets_the_embeddings_update(tmp_path: Path) -> None:
    """mlx-lm applies the LoRA of a tied embedding in as_linear, too."""
    from tests import peft_adapters

    base = peft_adapters.make_base(tmp_path / "base", tied=True)
    left = left_behind.mlx_lm(base, tmp_path / "a", embedding=True)
    read = read_foreign(left.folder, BaseShapes.read(base), LIMITS)
    assert isinstance(read, AdapterUpdates), read
    assert read.updates["lm_head.weight"] is read.updates["model.embed_tokens.weight"]


def test_an_alpha_beside_the_scale_is_refused(llama: Path, tmp_path: Path) -> None:
    """Versions of mlx-lm disagree on it: the way out is to write the factor as the scale."""
    left = left_behind.mlx_lm(llama, tmp_path / "a")
    parameters = {"rank": 8, "alpha": 16, "scale": 10.0, "dropout": 0.0}
    (left.folder / "adapter_config.json").write_text(
        json.dumps(mlx_config(lora_parameters=parameters))
    )
    refusal = check_refused(left.folder, llama)
    assert refusal.codes == {"config_field"}
    assert "10 * 16 / 8" in refusal.line


def test_each_defect_is_named(llama: Path, tmp_path: Path) -> None:
    """A factor without its pair, a module of another base, trained weights, and a wrong shape."""
    left = left_behind.mlx_lm(llama, tmp_path / "a")
    tensors = load_file(left.folder / "adapters.safetensors")
    del tensors["model.layers.0.self_attn.q_proj.lora_a"]
    tensors["model.layers.7.self_attn.q_proj.lora_a"] = torch.ones(32, 4)
    tensors["model.layers.7.self_attn.q_proj.lora_b"] = torch.ones(4, 32)
    tensors["model.layers.0.self_attn.k_proj.lora_a"] = torch.ones(31, 4)
    tensors["model.norm.weight"] = torch.ones(32)
    save_file(tensors, left.folder / "adapters.safetensors")
    refusal = check_refused(left.folder, llama)
    assert refusal.codes == {"missing_tensor", "module_not_in_base", "shape", "unexpected_tensor"}


def test_a_module_with_two_names_is_refused(llama: Path, tmp_path: Path) -> None:
    """Neither of its two updates is left out."""
    left = left_behind.mlx_lm(llama, tmp_path / "a")
    tensors = load_file(left.folder / "adapters.safetensors")
    module = "model.layers.0.self_attn.q_proj"
    for factor in ("lora_a", "lora_b"):
        tensors[f"language_model.{module}.{factor}"] = tensors[f"{module}.{factor}"] * 2
    save_file(tensors, left.folder / "adapters.safetensors")
    assert check_refused(left.folder, llama).codes == {"ambiguous_module"}


def test_experts_with_two_names_are_refused(tmp_path: Path) -> None:
    """Its two classes for experts name the same layer of the base."""
    base, folder = tmp_path / "base", tmp_path / "a"
    left_behind.base_of_experts(base, "gate_proj")
    tensors = {}
    for part in ("switch_mlp", "experts"):
        name = f"model.layers.0.mlp.{part}.gate_proj"
        tensors[f"{name}.lora_a"] = noise(3, 2, 5, seed=10)
        tensors[f"{name}.lora_b"] = noise(3, 6, 2, seed=11)
    config = mlx_config()
    left_behind.write(folder, "adapters.safetensors", tensors, "adapter_config.json", config)
    assert check_refused(folder, base).codes == {"ambiguous_module"}


def test_a_head_beside_the_embedding_it_is_tied_to_is_refused(tmp_path: Path) -> None:
    """mlx-lm has no such layer, and the embedding's update would replace it."""
    from tests import peft_adapters

    base = peft_adapters.make_base(tmp_path / "base", tied=True)
    left = left_behind.mlx_lm(base, tmp_path / "a", embedding=True)
    tensors = load_file(left.folder / "adapters.safetensors")
    tensors |= {"lm_head.lora_a": torch.ones(32, 4), "lm_head.lora_b": torch.ones(4, 64)}
    save_file(tensors, left.folder / "adapters.safetensors")
    assert check_refused(left.folder, base).codes == {"ambiguous_module"}
