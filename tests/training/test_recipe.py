"""Recipes are read strictly, and every problem is reported at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.training.recipe import DataRecipe, LoraRecipe, Recipe, TrainingRecipe, read_recipe

MINIMAL = """
[lora]
rank = 8
alpha = 16
target_modules = ["v_proj", "q_proj", "v_proj"]
[training]
learning_rate = 1e-3
epochs = 2
"""


def _read(folder: Path, text: str) -> Recipe:
    (folder / "recipe.toml").write_text(text, encoding="utf-8")
    return read_recipe(folder)


def test_defaults_fill_a_minimal_recipe(tmp_path: Path) -> None:
    """Only what makes an adapter must be given; modules are kept sorted and once."""
    recipe = _read(tmp_path, MINIMAL)
    assert recipe.lora == LoraRecipe(rank=8, alpha=16, target_modules=("q_proj", "v_proj"))
    assert recipe.training == TrainingRecipe(learning_rate=1e-3, epochs=2)
    assert recipe.data == DataRecipe(train="data/train.jsonl", heldout="data/heldout.jsonl")


def test_every_problem_is_named(tmp_path: Path) -> None:
    """An unknown key, a wrong type and a missing key appear in one message, each with its place."""
    text = MINIMAL.replace("rank = 8", 'rank = "8"').replace("epochs = 2", "epoch = 2") + "[dta]\n"
    with pytest.raises(SetupError) as caught:
        _read(tmp_path, text)

    for part in (
        "recipe.toml",
        "lora.rank",
        "training.epochs",
        "unknown key training.epoch",
        "unknown key dta",
    ):
        assert part in caught.value.message


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rank = 8", "rank = 0"),
        ("alpha = 16", "alpha = -1"),
        ("learning_rate = 1e-3", "learning_rate = 0"),
        ("epochs = 2", "epochs = 0"),
        ('["v_proj", "q_proj", "v_proj"]', "[]"),
    ],
)
def test_values_out_of_range_are_refused(tmp_path: Path, old: str, new: str) -> None:
    """A value that cannot train anything is refused by its name."""
    with pytest.raises(
        SetupError, match=new.split(" ", maxsplit=1)[0].strip("[]") or "target_modules"
    ):
        _read(tmp_path, MINIMAL.replace(old, new))


def test_broken_toml_and_a_missing_file_are_expected_failures(tmp_path: Path) -> None:
    """Both errors name the file."""
    with pytest.raises(SetupError, match=r"cannot read the recipe .*recipe\.toml"):
        read_recipe(tmp_path)
    with pytest.raises(SetupError, match=r"recipe\.toml is not valid TOML"):
        _read(tmp_path, "[lora\n")


def test_every_field_says_what_it_means() -> None:
    """Each field has a description that ends in a full stop, and every optional one names its
    default.
    """
    fields = [
        (name, field)
        for table in (LoraRecipe, TrainingRecipe, DataRecipe)
        for name, field in table.model_fields.items()
    ]

    assert len(fields) >= 15
    for name, field in fields:
        assert field.description is not None, name
        assert field.description.endswith("."), name
        assert field.is_required() or "Default:" in field.description, name
