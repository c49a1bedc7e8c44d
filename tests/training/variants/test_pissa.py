"""PiSSA: trained over what is left of the base, saved as what it changes in the plain base."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings, strategies as st

from lorabay.base.causal_lm import load_model
from lorabay.training.recipe import read_recipe
from lorabay.training.variants.pissa import PISSA, balanced
from tests.training.variants.ways import add_variant, logits, peft_model


def _moved(adapter_dir: Path, base: Path) -> tuple[torch.Tensor, Path]:
    """Return the logits of a changed PiSSA model, and the folder that it was saved in."""
    recipe = read_recipe(adapter_dir)
    trainee = PISSA.adapt(load_model(base), recipe, 1)
    torch.testing.assert_close(logits(trainee.model), logits(load_model(base)))
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in trainee.learning().values():
            parameter.add_(0.05 * torch.randn_like(parameter))
    PISSA.save(trainee, recipe, base, adapter_dir / "out")
    return logits(trainee.model.eval()), adapter_dir / "out"


@pytest.mark.parametrize("rslora", ["false", "true"])
def test_the_plain_base_with_the_files_is_the_trained_model(
    adapter_dir: Path, tiny_base: Path, rslora: str
) -> None:
    """Both scales, at twice the rank."""
    recipe = adapter_dir / "recipe.toml"
    text = recipe.read_text(encoding="utf-8")
    text = text.replace("alpha = 8", f"alpha = 8\nuse_rslora = {rslora}")
    recipe.write_text(f'{text}dtype = "float32"\n', encoding="utf-8")
    add_variant(adapter_dir, "pissa")
    expected, folder = _moved(adapter_dir, tiny_base)
    torch.testing.assert_close(
        logits(peft_model(tiny_base, folder)), expected, atol=1e-4, rtol=1e-4
    )
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert (config["r"], config["init_lora_weights"]) == (8, True)


def test_bfloat16_rounds_the_change_and_not_the_two_products(
    adapter_dir: Path, tiny_base: Path
) -> None:
    """The files are off by the rounding of a small change, though both products are large."""
    add_variant(adapter_dir, "pissa")
    expected, folder = _moved(adapter_dir, tiny_base)
    change = (expected - logits(load_model(tiny_base))).norm()
    error = (logits(peft_model(tiny_base, folder)) - expected).norm()
    assert error < 0.02 * change


@settings(max_examples=20)
@given(rank=st.integers(1, 6), outputs=st.integers(1, 9), inputs=st.integers(1, 9))
def test_balanced_keeps_shapes_and_product(rank: int, outputs: int, inputs: int) -> None:
    """Also where the rank is larger than the weight."""
    torch.manual_seed(rank)
    b, a = torch.randn(outputs, rank), torch.randn(rank, inputs)
    new_b, new_a = balanced(b, a)
    assert (new_b.shape, new_a.shape) == (b.shape, a.shape)
    torch.testing.assert_close(new_b @ new_a, b @ a, atol=1e-5, rtol=1e-4)
    assert new_b.norm() == pytest.approx(float(new_a.norm()), rel=1e-4)


def test_the_card_says_that_the_rank_doubles(adapter_dir: Path) -> None:
    """A server's largest rank must hold it."""
    add_variant(adapter_dir, "pissa")
    assert "LoRA of rank 8" in PISSA.sentence(read_recipe(adapter_dir))
