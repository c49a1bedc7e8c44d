"""Memory is estimated from shapes, and what does not fit is refused before it is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.base.causal_lm import load_model, load_tokenizer
from lorabay.errors import SetupError
from lorabay.training.dataset import EncodedExample, encode, read_examples
from lorabay.training.loop.memory import check_memory, free_bytes, needed
from lorabay.training.recipe import Recipe, read_recipe, recipe_of
from lorabay.training.train import train_folder
from lorabay.training.variants.table import VARIANTS


def _recipe(adapter_dir: Path, name: str, **training: object) -> Recipe:
    tables = read_recipe(adapter_dir).model_dump()
    tables["variant"] = {"name": name} | ({"context": 512} if name == "longlora" else {})
    tables["training"] |= training
    return recipe_of(tables, "here")


def _examples(adapter_dir: Path, base: Path) -> list[EncodedExample]:
    found = read_examples(adapter_dir / "data" / "train.jsonl")
    return [encode(load_tokenizer(base), example) for example in found]


@pytest.mark.parametrize("name", ["lora", "vera", "full", "longlora"])
def test_what_learns_is_counted(adapter_dir: Path, tiny_base: Path, name: str) -> None:
    """Nearly as many values as the variant itself has."""
    recipe = _recipe(adapter_dir, name)
    variant = VARIANTS[name]
    trainee = variant.adapt(variant.load(tiny_base, recipe), recipe, 10)
    exact = sum(value.numel() for value in trainee.learning().values())

    need = needed(recipe, tiny_base, _examples(adapter_dir, tiny_base))
    assert need.learning == pytest.approx(exact * (12 if name == "full" else 16), rel=0.15)
    values = sum(value.numel() for value in load_model(tiny_base).parameters())
    assert need.base == pytest.approx(4 * values, rel=0.01)


def test_less_memory_is_less(adapter_dir: Path, tiny_base: Path) -> None:
    """Four bits, half the batch, and checkpoints of gradients."""
    examples = _examples(adapter_dir, tiny_base)
    plain = needed(_recipe(adapter_dir, "lora"), tiny_base, examples)
    assert needed(_recipe(adapter_dir, "qlora"), tiny_base, examples).base < 0.3 * plain.base
    for training in ({"batch_size": 2}, {"gradient_checkpointing": True}):
        less = needed(_recipe(adapter_dir, "lora", **training), tiny_base, examples)
        assert less.activations < plain.activations


def test_a_base_that_does_not_fit_is_refused_in_one_line(
    adapter_dir: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the parts of what is needed, and what would help."""
    monkeypatch.setattr("lorabay.training.train.free_bytes", lambda: 1000)
    with pytest.raises(SetupError, match=r"needs about .* GiB \(the base .* free: choose"):
        train_folder(adapter_dir, tiny_base)
    assert not (adapter_dir / "adapter_config.json").exists()


def test_what_fits_is_not_refused(adapter_dir: Path, tiny_base: Path) -> None:
    """On this machine."""
    need = needed(_recipe(adapter_dir, "lora"), tiny_base, _examples(adapter_dir, tiny_base))
    check_memory(need, free_bytes())
