"""What is trained is seen alike, with PEFT around it or without."""

from __future__ import annotations

from pathlib import Path

from lorabay.base.causal_lm import load_model
from lorabay.training.recipe import read_recipe
from lorabay.training.variants.full import FULL
from lorabay.training.variants.interface import Trainee
from lorabay.training.variants.lora import LORA


def test_a_trainee_knows_its_causal_lm(adapter_dir: Path, tiny_base: Path) -> None:
    """PEFT's wrapper is not what answers."""
    recipe, model = read_recipe(adapter_dir), load_model(tiny_base)
    assert Trainee(model).causal_lm is model
    assert LORA.adapt(model, recipe, 1).causal_lm is model


def test_a_trainee_knows_what_learns(adapter_dir: Path, tiny_base: Path) -> None:
    """By name: matrices of the adapter, or everything."""
    recipe = read_recipe(adapter_dir)
    adapter = LORA.adapt(load_model(tiny_base), recipe, 1).learning()
    assert len(adapter) == 12
    assert all("lora_" in name for name in adapter)
    assert "model.norm.weight" in FULL.adapt(load_model(tiny_base), recipe, 1).learning()


def test_a_variant_does_nothing_more_unless_it_says_so(adapter_dir: Path, tiny_base: Path) -> None:
    """Plain LoRA adds nothing to the loss, to a step, and to a checkpoint."""
    trainee = LORA.adapt(load_model(tiny_base), read_recipe(adapter_dir), 1)
    assert LORA.penalty(trainee) is None
    assert LORA.state(trainee) == {}
    LORA.after_step(trainee, 0)
    LORA.restore(trainee, {})
    assert LORA.makes_adapter
