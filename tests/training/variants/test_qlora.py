"""QLoRA: a base in four bits, on a CPU too, and an adapter for the plain one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from lorabay.base.causal_lm import load_model
from lorabay.errors import SetupError
from lorabay.training.recipe import read_recipe
from lorabay.training.variants.qlora import QLORA
from tests.training.variants.ways import add_variant, logits

INSTALLED = importlib.util.find_spec("bitsandbytes") is not None
needs_it = pytest.mark.skipif(not INSTALLED, reason="bitsandbytes is not installed")


@needs_it
def test_the_linear_layers_are_in_four_bits(adapter_dir: Path, tiny_base: Path) -> None:
    """NF4 with its scales quantised, near the base's values, and the model answers before it is
    trained, too.
    """
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit

    model = QLORA.load(tiny_base, read_recipe(adapter_dir))
    layers = [module for module in model.modules() if isinstance(module, Linear4bit)]
    assert len(layers) == 14
    assert {layer.weight.quant_state.quant_type for layer in layers} == {"nf4"}
    assert all(layer.weight.quant_state.nested for layer in layers)

    weight = layers[0].weight
    dense = dequantize_4bit(weight.data, weight.quant_state)
    plain = load_model(tiny_base).model.layers[0].self_attn.q_proj.weight
    assert 0 < (dense - plain).norm() < 0.3 * plain.norm()
    assert logits(model).isfinite().all()


@needs_it
def test_doras_norms_are_those_of_the_dequantised_weight(
    adapter_dir: Path, tiny_base: Path
) -> None:
    """The magnitudes start at the norms of what the four bits stand for."""
    from bitsandbytes.functional import dequantize_4bit

    recipe = adapter_dir / "recipe.toml"
    text = recipe.read_text(encoding="utf-8").replace("alpha = 8", "alpha = 8\nuse_dora = true")
    recipe.write_text(text, encoding="utf-8")
    add_variant(adapter_dir, "qlora")
    made = read_recipe(adapter_dir)
    trainee = QLORA.adapt(QLORA.load(tiny_base, made), made, 1)

    layer: Any = trainee.causal_lm.model.layers[0].self_attn.q_proj
    weight = layer.base_layer.weight
    dense = dequantize_4bit(weight.data, weight.quant_state)
    magnitudes = layer.lora_magnitude_vector["default"].weight
    torch.testing.assert_close(magnitudes.detach(), dense.norm(dim=1))


def test_without_the_library_one_line_says_what_to_install(
    adapter_dir: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the extra."""
    monkeypatch.setattr("lorabay.training.variants.qlora.find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r"bitsandbytes.*lorabay\[forge\]"):
        QLORA.load(tiny_base, read_recipe(adapter_dir))


def test_the_card_says_what_it_was_trained_over(adapter_dir: Path) -> None:
    """Four bits, and which."""
    add_variant(adapter_dir, "qlora")
    assert "in four bits (QLoRA, NF4)" in QLORA.sentence(read_recipe(adapter_dir))
