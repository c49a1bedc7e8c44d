"""A base whose layers carry something over between packed examples is trained without packing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from lorabay.base.causal_lm import load_model
from lorabay.errors import SetupError
from lorabay.training.dataset import EncodedExample
from lorabay.training.packing import check_packing
from lorabay.training.recipe import TrainingRecipe
from lorabay.training.train import train_folder
from tests.training.kinds_of_layers import APART, CARRYING, lfm2, model_of


def _settings(*, packing: bool, max_tokens: int = 512) -> TrainingRecipe:
    return TrainingRecipe(learning_rate=1e-3, epochs=1, packing=packing, max_tokens=max_tokens)


EXAMPLES = [
    EncodedExample(tuple(range(3, 12)), tuple(range(20, 40))),
    EncodedExample(tuple(range(5, 14)), tuple(range(30, 50))),
]


@pytest.mark.parametrize("kind", APART)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_keeps_examples_apart(kind: str, dtype: torch.dtype) -> None:
    """Rounding, also that of bfloat16, is no leak."""
    check_packing(model_of(APART[kind]).to(dtype), EXAMPLES, _settings(packing=True))


@pytest.mark.parametrize("kind", CARRYING)
def test_layers_that_carry_over_are_refused(kind: str) -> None:
    """Linear attention, convolutions, state spaces, and models that take no positions."""
    model = model_of(CARRYING[kind])
    with pytest.raises(SetupError, match=r"carry over .* leave out training\.packing"):
        check_packing(model, EXAMPLES, _settings(packing=True))
    check_packing(model, EXAMPLES, _settings(packing=False))


def test_examples_that_share_no_row_are_not_compared() -> None:
    """Where no two fit into a row there is nothing to carry over."""
    settings = _settings(packing=True, max_tokens=29)
    check_packing(model_of(CARRYING["lfm2"]), EXAMPLES, settings)


def test_a_training_checks_before_its_first_step(
    adapter_dir: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """Nothing is written, and the message says what to leave out."""
    base = tmp_path / "lfm2"
    shutil.copytree(tiny_base, base)
    lfm2(load_model(tiny_base).config.vocab_size).save_pretrained(base)
    recipe = adapter_dir / "recipe.toml"
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(text.replace("[training]", "[training]\npacking = true"), encoding="utf-8")
    with pytest.raises(SetupError, match=r"leave out training\.packing"):
        train_folder(adapter_dir, base, output=tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.safetensors"))
