"""LoRA and its kin: what the recipe says is in PEFT's config, and B may learn faster."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.base.causal_lm import load_model
from lorabay.training.recipe import read_recipe
from lorabay.training.variants.lora import LORA, config_of
from tests.training.variants.ways import add_variant


@pytest.mark.parametrize(
    ("name", "rslora", "dora", "ratio", "words"),
    [
        ("lora", False, False, 1, "LoRA of rank 4, alpha 8"),
        ("rslora", True, False, 1, "root of the rank (rsLoRA)"),
        ("dora", False, True, 1, "magnitude for each output (DoRA)"),
        ("lora+", False, False, 16, "16 times as fast as A (LoRA+)"),
    ],
)
def test_a_name_is_a_setting_of_peft(
    adapter_dir: Path, tiny_base: Path, name: str, rslora: bool, dora: bool, ratio: int, words: str
) -> None:
    """Scale, magnitudes and the rate of B follow from the name, and the card says so."""
    add_variant(adapter_dir, name)
    recipe = read_recipe(adapter_dir)
    config = config_of(recipe)
    assert (config.use_rslora, config.use_dora) == (rslora, dora)

    slow, fast = LORA.groups(LORA.adapt(load_model(tiny_base), recipe, 1), recipe)
    assert fast["lr"] == pytest.approx(slow["lr"] * ratio)
    assert len(fast["params"]) == 6
    assert len(slow["params"]) == (12 if dora else 6)
    assert words in LORA.sentence(recipe)
