"""Full fine-tuning: every weight of the base learns, and the result is a whole model's folder."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import torch

from lorabay.base.causal_lm import load_tokenizer
from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.files import durable
from lorabay.training.save import check_finite
from lorabay.training.variant_tables import FullVariant
from lorabay.training.variants.interface import Trainee, Variant

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.training.recipe import Recipe
    from lorabay.training.variants.interface import Group

_LAST = "config.json"


def _table(recipe: Recipe) -> FullVariant:
    if not isinstance(recipe.variant, FullVariant):
        raise TypeError(recipe.variant)
    return recipe.variant


def adapt(model: Any, recipe: Recipe, steps: int) -> Trainee:
    """Let all weights learn."""
    model.requires_grad_(True)
    return Trainee(model)


def groups(trainee: Trainee, recipe: Recipe) -> list[Group]:
    """Let them learn at a rate that is lower than LoRA's."""
    rate = recipe.training.learning_rate * _table(recipe).rate
    return [{"params": list(trainee.learning().values()), "lr": rate}]


def save(trainee: Trainee, recipe: Recipe, base: Path, folder: Path) -> None:
    """Write the folder of a model with its tokenizer: the config comes last, without which no
    program takes a folder for a model.

    The trainee has the number format of the files afterwards.
    """
    for name, tensor in trainee.model.state_dict().items():
        check_finite(name, tensor, recipe.training.dtype)
    trainee.model.to(getattr(torch, recipe.training.dtype))

    folder.mkdir(parents=True, exist_ok=True)
    hidden = folder / ".model.partial"
    shutil.rmtree(hidden, ignore_errors=True)
    try:
        with quiet_transformers():
            trainee.model.save_pretrained(hidden)
            load_tokenizer(base).save_pretrained(hidden)
        for path in sorted(hidden.iterdir(), key=lambda path: path.name == _LAST):
            durable.sync(path)
            durable.move(path, folder / path.name)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def sentence(recipe: Recipe) -> str:
    """Say what learnt."""
    return "full fine-tuning: a whole model, of which every weight was trained"


FULL = Variant(adapt, groups, save, sentence, makes_adapter=False)
