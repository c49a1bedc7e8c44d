"""Experts of other trainers change the weights as the same LoRA in PEFT does, in any base."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from lorabay.algebra.updates import ExpertProducts, LowRank
from lorabay.base.shapes import BaseShapes
from lorabay.formats.foreign import read_foreign
from lorabay.formats.reading import AdapterUpdates, read_updates
from lorabay.tools.find_adapter import LIMITS
from tests import mixtures, peft_adapters
from tests.formats.trainers import left_behind
from tests.formats.trainers.proof import check_refused
from tests.matrix.layouts import pairs

if TYPE_CHECKING:
    from pathlib import Path

RANK, ALPHA = 4, 8

MLX = {
    "Qwen3-MoE": "mlp.switch_mlp",
    "Qwen3.5-MoE": "mlp.switch_mlp",
    "OLMoE": "mlp.switch_mlp",
    "Mixtral": "block_sparse_moe.switch_mlp",
    "GraniteMoE": "block_sparse_moe.switch_mlp",
    "gpt-oss": "mlp.experts",
}
"""Architecture -> what mlx-lm's class of it calls the experts of a layer."""

TINKER = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}
TINKERS = ["Qwen3-MoE", "Qwen3.5-MoE", "gpt-oss"]


def trained(name: str, tmp_path: Path) -> tuple[Path, peft_adapters.Made]:
    base = mixtures.make_base(name, tmp_path / "base")
    return base, peft_adapters.make(base, tmp_path / "peft", mixtures.on_experts)


def factors(name: str, folder: Path) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    in_turns = name == "gpt-oss"
    found = pairs(folder, experts=mixtures.EXPERTS, in_turns=in_turns)
    return {pair.module: (pair.a, pair.b) for pair in found}


def write_mlx(name: str, folder: Path, peft: Path) -> None:
    tensors = {}
    for module, (a, b) in factors(name, peft).items():
        layer, _, leaf = module.rpartition(".")
        own = f"{layer.partition('.mlp.')[0].partition('.block_sparse_moe.')[0]}.{MLX[name]}.{leaf}"
        own = own if a.dim() == 3 else module
        tensors[f"{own}.lora_a"] = a if a.dim() == 3 else a.T
        tensors[f"{own}.lora_b"] = b if b.dim() == 3 else b.T
    parameters = {"rank": RANK, "scale": ALPHA / RANK, "dropout": 0.0}
    config = left_behind.mlx_config(lora_parameters=parameters)
    left_behind.write(folder, "adapters.safetensors", tensors, "adapter_config.json", config)


def write_tinker(name: str, folder: Path, peft: Path) -> None:
    tensors = {}
    for module, (a, b) in factors(name, peft).items():
        own = module
        for leaf, other in TINKER.items():
            own = own.replace(f".experts.{leaf}", f".experts.{other}")
        if name == "gpt-oss":
            own = own.replace(".self_attn.", ".attn.")
        tensors[f"base_model.model.{own}.lora_A.weight"] = a
        tensors[f"base_model.model.{own}.lora_B.weight"] = b
    config = {"r": RANK, "lora_alpha": ALPHA}
    left_behind.write(folder, "adapter_model.safetensors", tensors, "adapter_config.json", config)


def check_equal(folder: Path, peft: Path, base: Path) -> None:
    """Assert that both change the same tensors of the base alike."""
    shapes = BaseShapes.read(base)
    found, expected = read_foreign(folder, shapes, LIMITS), read_updates(peft, shapes)
    assert isinstance(found, AdapterUpdates), found
    assert isinstance(expected, AdapterUpdates), expected
    assert found.updates.keys() == expected.updates.keys()
    for tensor, (theirs,) in expected.updates.items():
        (ours,) = found.updates[tensor]
        assert isinstance(ours, LowRank | ExpertProducts)
        assert isinstance(theirs, LowRank | ExpertProducts)
        np.testing.assert_allclose(ours.delta(), theirs.delta(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MLX)
def test_mlx_lms_experts(name: str, tmp_path: Path) -> None:
    """Also where the base's files have gate and up in one tensor, or call them w1 and w3."""
    base, made = trained(name, tmp_path)
    write_mlx(name, tmp_path / "mlx", made.folder)
    check_equal(tmp_path / "mlx", made.folder, base)


@pytest.mark.parametrize("name", TINKERS)
def test_tinkers_experts(name: str, tmp_path: Path) -> None:
    """By Tinker's own names of matrices, and of attention in gpt-oss."""
    base, made = trained(name, tmp_path)
    write_tinker(name, tmp_path / "tinker", made.folder)
    check_equal(tmp_path / "tinker", made.folder, base)


@pytest.mark.parametrize(("name", "experts"), [("Qwen3-MoE", 3), ("gpt-oss", 3), ("gpt-oss", 5)])
def test_experts_of_another_number_are_refused(name: str, experts: int, tmp_path: Path) -> None:
    """The base was another one."""
    base, folder = mixtures.make_base(name, tmp_path / "base"), tmp_path / "a"
    module = f"model.layers.0.{MLX[name]}.down_proj"
    inner = mixtures.HIDDEN if name == "gpt-oss" else mixtures.EXPERT
    tensors = {
        f"{module}.lora_a": torch.ones(experts, 2, inner),
        f"{module}.lora_b": torch.ones(experts, mixtures.HIDDEN, 2),
    }
    config = left_behind.mlx_config()
    left_behind.write(folder, "adapters.safetensors", tensors, "adapter_config.json", config)
    refusal = check_refused(folder, base)
    assert refusal.codes == {"shape"}
    assert f"the base has {mixtures.EXPERTS} experts" in refusal.line


def test_factors_that_fit_no_expert_are_refused(tmp_path: Path) -> None:
    """The reason has the shapes of both."""
    base, folder = mixtures.make_base("gpt-oss", tmp_path / "base"), tmp_path / "a"
    module = "model.layers.0.mlp.experts.gate_proj"
    tensors = {
        f"{module}.lora_a": torch.ones(mixtures.EXPERTS, 2, 31),
        f"{module}.lora_b": torch.ones(mixtures.EXPERTS, mixtures.HIDDEN, 2),
    }
    config = left_behind.mlx_config()
    left_behind.write(folder, "adapters.safetensors", tensors, "adapter_config.json", config)
    refusal = check_refused(folder, base)
    assert refusal.codes == {"shape"}
    assert "experts of 32 by 64" in refusal.line
