"""LoRA on experts is stored as vLLM's own loader takes it, and computes what PEFT computes."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import vllm
from safetensors.torch import load_file, save_file
from vllm.lora.lora_model import LoRAModel
from vllm.lora.lora_weights import PackedLoRALayerWeights
from vllm.lora.model_manager import LoRAModelManager
from vllm.lora.peft_helper import PEFTHelper

from lorabay.base.shapes import BaseShapes
from lorabay.catalog.admission import Checks, inspect, validate
from lorabay.catalog.canonical import Canonical, measure
from lorabay.catalog.expert_pairs import TAKE_STACKED
from lorabay.catalog.versions import AdapterSpec
from lorabay.reasons import Rejected
from tests import mixtures, peft_adapters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MODELS = Path(vllm.__file__).parent / "model_executor" / "models"
LAYER = "model.layers.1.mlp.experts"


def test_the_classes_that_take_all_experts_at_once_are_vllms() -> None:
    """A new vLLM with another such class fails here, and not at a user's."""
    taking: set[str] = set()
    for path in MODELS.glob("*.py"):
        text = path.read_text()
        if "is_3d_moe_weight" in text and path.name != "interfaces.py":
            taking |= set(classes_with(text))
    # The registry calls the thinker by the name of the whole model.
    known = {name.replace("Qwen3OmniMoeFor", "Qwen3OmniMoeThinkerFor") for name in TAKE_STACKED}
    assert taking == known


def classes_with(text: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            fields = [part.target for part in node.body if isinstance(part, ast.AnnAssign)]
            if "is_3d_moe_weight" in [getattr(field, "id", "") for field in fields]:
                found.append(node.name)
    return found


def stored(folder: Path, base: BaseShapes, into: Path) -> Canonical:
    """Write the canonical form of an adapter as a store has it."""
    result = inspect(folder, Checks(base, 64, adapts_experts=True))
    assert isinstance(result, Canonical), result
    into.mkdir()
    spec = measure(result, lambda name: (into / name).open("xb"))
    assert isinstance(spec, AdapterSpec), spec
    (into / "adapter_config.json").write_text(json.dumps(result.config))
    return result


def loaded(folder: Path, expected: set[str]) -> LoRAModel:
    """Return the adapter as vLLM's worker reads it."""
    return LoRAModel.from_local_checkpoint(
        str(folder),
        expected,
        PEFTHelper.from_local_dir(str(folder), None),
        lora_model_id=1,
        device="cpu",
        dtype=torch.float32,
    )


def change(base: Path, adapter: Path) -> Mapping[str, NDArray[np.float32]]:
    """Return what PEFT's merge adds to each parameter of the model in memory."""
    plain = peft_adapters.loaded(base, adapter).model.unload().state_dict()
    before = {name: value.numpy().copy() for name, value in plain.items()}
    merged = peft_adapters.loaded(base, adapter).merged()
    return {name: merged[name].numpy() - before[name] for name in before}


@pytest.mark.parametrize("fields", [{}, {"target_parameters": ["experts.down_proj"]}])
def test_single_experts_are_packed_by_vllm_as_peft_computes_them(
    fields: dict[str, Any], tmp_path: Path
) -> None:
    """vLLM asks for every matrix of every expert of a layer, and gets zeros for the others."""
    base = mixtures.make_base("Qwen3-MoE", tmp_path / "base")
    made = peft_adapters.make(base, tmp_path / "a", lambda: mixtures.on_experts(**fields))
    canonical = stored(made.folder, BaseShapes.read(base), tmp_path / "store")
    assert canonical.modules == ("experts", "q_proj")

    names = [f"{expert}.{part}" for expert in range(mixtures.EXPERTS) for part in PARTS]
    model = loaded(tmp_path / "store", {"q_proj", *(f"experts.{name}" for name in names)})
    packed = PackedLoRALayerWeights.pack_moe(
        [model.loras[f"{LAYER}.{name}"] for name in names], LAYER
    )
    packed.optimize()
    w1, w2, w3 = (b.numpy() @ a.numpy() for a, b in zip(packed.lora_a, packed.lora_b, strict=True))

    expected = change(base, made.folder)
    gate_up = np.concatenate([w1, w3], axis=1)
    np.testing.assert_allclose(gate_up, expected[f"{LAYER}.gate_up_proj"], rtol=1e-3, atol=2e-6)
    np.testing.assert_allclose(w2, expected[f"{LAYER}.down_proj"], rtol=1e-3, atol=2e-6)


PARTS = ("gate_proj", "down_proj", "up_proj")
"""The matrices of an expert in the order of vLLM's mapping: w1, w2, w3."""


@pytest.mark.parametrize("fields", [{}, {"target_parameters": ["experts.gate_up_proj"]}])
def test_all_experts_at_once_are_stacked_by_vllm_as_peft_computes_them(
    fields: dict[str, Any], tmp_path: Path
) -> None:
    """vLLM asks for both pairs of a layer, and gets zeros for the one that is not there."""
    base = mixtures.make_base("gpt-oss", tmp_path / "base")
    made = peft_adapters.make(base, tmp_path / "a", lambda: mixtures.on_experts(**fields))
    canonical = stored(made.folder, BaseShapes.read(base), tmp_path / "store")
    assert canonical.modules == ("experts", "q_proj")

    model = loaded(tmp_path / "store", {"q_proj", "experts"})
    for lora in model.loras.values():
        lora.optimize()
    stack(model)
    lora = model.loras[LAYER]
    changes = [b.numpy() @ a.numpy() for a, b in zip(lora.lora_a, lora.lora_b, strict=True)]

    expected = change(base, made.folder)
    for found, name in zip(changes, ("gate_up_proj", "down_proj"), strict=True):
        theirs = expected[f"{LAYER}.{name}"].transpose(0, 2, 1)
        np.testing.assert_allclose(found, theirs, rtol=1e-3, atol=2e-6)


def stack(model: LoRAModel) -> None:
    """Have vLLM's manager cut the pairs of one layer into experts, as it does for its layer."""
    manager: Any = object.__new__(LoRAModelManager)
    manager.model, manager.is_pooling_model, manager._is_3d_moe_model = None, False, True
    layer = SimpleNamespace(
        w13_lora_a_stacked=(torch.empty(1, mixtures.EXPERTS),),
        global_num_experts=mixtures.EXPERTS,
        ep_rank=0,
    )
    manager._stack_moe_lora_weights(model, layer, LAYER)


def test_an_engine_on_processors_refuses_experts(tmp_path: Path) -> None:
    """With the one command that takes them."""
    base = mixtures.make_base("Qwen3-MoE", tmp_path / "base")
    made = peft_adapters.make(base, tmp_path / "a", mixtures.on_experts)
    found = validate(made.folder, Checks(BaseShapes.read(base), 64))
    assert isinstance(found, Rejected)
    assert found.codes == {"module_not_adapted"}
    assert "`lorabay merge " in found.line


@pytest.mark.parametrize(
    ("name", "architecture"),
    [("gpt-oss", "SomeForCausalLM"), ("GraniteMoE", None), ("Qwen3-MoE", "GptOssForCausalLM")],
)
def test_a_class_that_takes_experts_otherwise_refuses_them(
    name: str, architecture: str | None, tmp_path: Path
) -> None:
    """vLLM's loader would fail or answer with other experts."""
    base = mixtures.make_base(name, tmp_path / "base")
    made = peft_adapters.make(base, tmp_path / "a", mixtures.on_experts)
    shapes = BaseShapes.read(base)
    if architecture is not None:
        shapes = replace(shapes, architecture=architecture)
    found = validate(made.folder, Checks(shapes, 64, adapts_experts=True))
    assert isinstance(found, Rejected)
    assert found.codes == {"module_not_adapted"}


def test_a_parameter_that_is_a_layer_is_served_everywhere(tmp_path: Path) -> None:
    """PEFT takes the weight of any layer as a parameter; that is plain LoRA on the layer."""
    base = mixtures.make_base("Qwen3-MoE", tmp_path / "base")
    config = lambda: mixtures.on_experts(target_modules=[], target_parameters=["o_proj.weight"])  # noqa: E731
    made = peft_adapters.make(base, tmp_path / "a", config)
    found = validate(made.folder, Checks(BaseShapes.read(base), 64))
    assert isinstance(found, AdapterSpec), found
    assert found.modules == ("o_proj",)


def test_plain_lora_on_some_matrices_of_experts_is_completed(tmp_path: Path) -> None:
    """vLLM fails to pack a layer whose adapter lacks a matrix; trainers of older classes leave
    them out.
    """
    base = mixtures.make_base("Qwen3-MoE", tmp_path / "base")
    made = peft_adapters.make(
        base, tmp_path / "a", lambda: mixtures.on_experts(target_parameters=None)
    )
    tensors = dict(load_file(made.folder / "adapter_model.safetensors"))
    module = f"base_model.model.{LAYER}.0.up_proj"
    tensors[f"{module}.lora_A.weight"] = torch.ones(4, mixtures.HIDDEN)
    tensors[f"{module}.lora_B.weight"] = torch.ones(mixtures.EXPERT, 4)
    save_file(tensors, made.folder / "adapter_model.safetensors")
    config = json.loads((made.folder / "adapter_config.json").read_text())
    config["target_modules"] = ["q_proj", f"{LAYER}.0.up_proj"]
    (made.folder / "adapter_config.json").write_text(json.dumps(config))

    canonical = stored(made.folder, BaseShapes.read(base), tmp_path / "store")
    experts = [pair.module for pair in canonical.pairs if LAYER in pair.module]
    assert len(experts) == mixtures.EXPERTS * len(PARTS)
    assert not [pair for pair in canonical.pairs if "layers.0.mlp.experts" in pair.module]
