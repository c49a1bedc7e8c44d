"""The names that a version is stored with are those that vLLM's classes load it by."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import peft
import pytest
from vllm.lora.utils import parse_fine_tuned_lora_name
from vllm.model_executor.models.utils import WeightsMapper

from lorabay.base.shapes import BaseShapes
from lorabay.catalog.admission import Checks, inspect
from lorabay.catalog.canonical import Canonical
from tests import vision_bases
from tests.vision_bases import LAYOUTS

CLASSES = {
    "qwen2_5_vl": ("qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration"),
    "qwen3_vl": ("qwen3_vl", "Qwen3VLForConditionalGeneration"),
    "qwen3_5": ("qwen3_5", "Qwen3_5ForConditionalGeneration"),
    "gemma3": ("gemma3_mm", "Gemma3ForConditionalGeneration"),
    "gemma4": ("gemma4_mm", "Gemma4ForConditionalGeneration"),
    "mistral3": ("mistral3", "Mistral3ForConditionalGeneration"),
    "llava": ("llava", "LlavaForConditionalGeneration"),
}
"""Architecture -> vLLM's module and class for it."""

TOWERS = ("visual.", "vision_tower.")


def mapper(name: str) -> WeightsMapper:
    """vLLM's table of renames for an architecture.

    It is read from the source: classes for images import what a server for text does not have.
    """
    module, class_name = CLASSES[name]
    found = find_spec(f"vllm.model_executor.models.{module}")
    assert found is not None
    tree = ast.parse(Path(str(found.origin)).read_text(encoding="utf-8"))
    (body,) = (
        node.body
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == class_name
    )
    (table,) = (
        node.value
        for node in body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "hf_to_vllm_mapper"
    )
    known: dict[str, object] = {"WeightsMapper": WeightsMapper}
    if name == "qwen3_5":
        known[CLASSES["qwen3_vl"][1]] = SimpleNamespace(hf_to_vllm_mapper=mapper("qwen3_vl"))
    made = eval(compile(ast.Expression(table), str(found.origin), "eval"), known)  # noqa: S307
    assert isinstance(made, WeightsMapper)
    return made


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", vision_bases.ARCHITECTURES)
def test_vllm_finds_every_module(name: str, layout: str, tmp_path: Path) -> None:
    """Each layer's name leads into vLLM's language model, and the tower's into its tower."""
    base = vision_bases.make_base(name, tmp_path / "base", layout)
    targets = r".*language_model.*\.q_proj|.*\.q_proj\.linear|.*\.qkv|lm_head"
    config = peft.LoraConfig(r=4, target_modules=targets, task_type="CAUSAL_LM")
    made = vision_bases.make_adapter(vision_bases.load(base), tmp_path / "a", config)
    canonical = inspect(made.folder, Checks(BaseShapes.read(base), 16))
    assert isinstance(canonical, Canonical), canonical

    renames = mapper(name).get_rename_mapper()
    found = {parse_fine_tuned_lora_name(pair.a.name, renames)[0] for pair in canonical.pairs}

    assert "language_model.model.layers.1.self_attn.q_proj" in found
    assert "language_model.lm_head" in found
    assert len(found) == len(canonical.pairs)
    assert all(module.startswith(("language_model.", *TOWERS)) for module in found)
