"""Full fine-tuning: a model's folder that stands alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lorabay.base.causal_lm import load_model, load_tokenizer
from lorabay.errors import SetupError, UsageError
from lorabay.training.recipe import read_recipe
from lorabay.training.train import train_folder
from lorabay.training.variants.full import FULL
from tests.training.variants.ways import add_variant, logits, trained


def test_the_folder_is_a_base(adapter_dir: Path, tiny_base: Path) -> None:
    """transformers loads it with its tokenizer, and it answers otherwise than the base."""
    folder = trained(adapter_dir, tiny_base, "full").folder
    assert not torch.allclose(logits(load_model(folder)), logits(load_model(tiny_base)), atol=0.1)
    assert load_tokenizer(folder).chat_template == load_tokenizer(tiny_base).chat_template
    assert (folder / "generation_config.json").is_file()
    assert not list(folder.glob(".*"))
    assert str(tiny_base) not in (folder / "config.json").read_text(encoding="utf-8")


def test_everything_learns_at_a_lower_rate(adapter_dir: Path, tiny_base: Path) -> None:
    """A tenth of LoRA's, unless the recipe says otherwise; it needs no table for a shape."""
    add_variant(adapter_dir, "full", "rate = 0.5")
    recipe = read_recipe(adapter_dir)
    model = load_model(tiny_base)
    (group,) = FULL.groups(FULL.adapt(model, recipe, 1), recipe)
    assert group["lr"] == pytest.approx(0.5 * recipe.training.learning_rate)
    assert len(group["params"]) == len(list(model.parameters()))
    assert "every weight" in FULL.sentence(recipe)


def test_a_whole_model_is_not_written_into_an_adapters_folder(
    adapter_dir: Path, tiny_base: Path
) -> None:
    """It must be named where it goes."""
    add_variant(adapter_dir, "full")
    with pytest.raises(UsageError, match="--output"):
        train_folder(adapter_dir, tiny_base)


def test_weights_that_are_not_finite_are_not_written(
    adapter_dir: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """The folder is not even made."""
    add_variant(adapter_dir, "full")
    recipe = read_recipe(adapter_dir)
    trainee = FULL.adapt(load_model(tiny_base), recipe, 1)
    trainee.model.model.norm.weight.data[0] = float("nan")
    with pytest.raises(SetupError, match=r"model\.norm\.weight holds NaN"):
        FULL.save(trainee, recipe, tiny_base, tmp_path / "out")
    assert not (tmp_path / "out").exists()
