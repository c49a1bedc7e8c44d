"""Recipes are read strictly, and every problem is reported at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.training.recipe import (
    DataRecipe,
    LoraRecipe,
    Recipe,
    TrainingRecipe,
    laid_over,
    read_recipe,
)

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
        ("epochs = 2", "seed = 18446744073709551616"),
        ("[lora]", 'data.dev = "a\\u0000b"\n[lora]'),
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
    with pytest.raises(SetupError, match=r"recipe\.toml is not valid TOML"):
        _read(tmp_path, f"lora = {'[' * 100_000}\n")


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


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[variant]\nname = "lora+"\nratios = 2.0\n', "unknown key variant.ratios"),
        ('[variant]\nname = "loha"\n', "variant.name: 'loha' is none of 'lora', 'rslora'"),
        ('[variant]\nname = "vera"\n[lora]\nuse_dora = true\n', "lora.use_dora does nothing"),
        ('[variant]\nname = "pissa"\n[lora]\nuse_dora = true\n', "lora.use_dora does nothing"),
        ('[variant]\nname = "adalora"\n[lora]\nuse_rslora = true\n', "use_rslora does nothing"),
        (
            '[variant]\nname = "lora+"\n[training]\nlora_plus_ratio = 2.0\n',
            "lora_plus_ratio does nothing in the variant lora+",
        ),
    ],
)
def test_a_variant_and_its_keys_must_fit(tmp_path: Path, text: str, problem: str) -> None:
    """What would do nothing is refused, and so are keys of other variants."""
    variant, _, more = text.partition("[lora]\n")
    variant, _, training = variant.partition("[training]\n")
    recipe = MINIMAL.replace("[lora]\n", f"[lora]\n{more}")
    recipe = recipe.replace("[training]\n", f"[training]\n{training}")
    with pytest.raises(SetupError, match=re.escape(problem)):
        _read(tmp_path, variant + recipe)


def test_only_full_fine_tuning_has_no_shape(tmp_path: Path) -> None:
    """Every other variant needs the table, and says so."""
    training = MINIMAL[MINIMAL.index("[training]") :]
    full = _read(tmp_path, f'[variant]\nname = "full"\n{training}')
    assert full.lora is None
    with pytest.raises(SetupError, match=r"full has no \[lora\]"):
        _ = full.shape
    with pytest.raises(SetupError, match=r"variant dora needs the table \[lora\]"):
        _read(tmp_path, f'[variant]\nname = "dora"\n{training}')


def test_a_recipe_inherits_what_it_does_not_say(tmp_path: Path) -> None:
    """Key by key, over any number of files; another variant brings keys of its own."""
    (tmp_path / "first.toml").write_text(
        MINIMAL + '[variant]\nname = "lora+"\nratio = 4.0\n', encoding="utf-8"
    )
    (tmp_path / "second.toml").write_text(
        'inherit = "first.toml"\n[lora]\nrank = 32\n', encoding="utf-8"
    )
    (tmp_path / "own").mkdir()
    recipe = _read(tmp_path / "own", 'inherit = "../second.toml"\n[training]\nepochs = 5\n')
    assert recipe.shape.rank == 32
    assert recipe.shape.alpha == 16
    assert recipe.ratio_of_b == 4
    assert (recipe.training.epochs, recipe.training.learning_rate) == (5, 1e-3)

    other = _read(tmp_path / "own", 'inherit = "../second.toml"\n[variant]\nname = "dora"\n')
    assert other.has_magnitudes
    assert other.ratio_of_b == 1


def test_what_cannot_be_inherited_is_named(tmp_path: Path) -> None:
    """A file that is not there, a circle, and a name that is no name."""
    with pytest.raises(SetupError, match=r"cannot read the recipe .*nowhere\.toml"):
        _read(tmp_path, 'inherit = "nowhere.toml"\n')
    with pytest.raises(SetupError, match=r"recipe\.toml inherits itself"):
        _read(tmp_path, 'inherit = "recipe.toml"\n')
    with pytest.raises(SetupError, match="inherit is not the name of a file"):
        _read(tmp_path, "inherit = 1\n")
    with pytest.raises(SetupError, match="inherit is not the name of a file"):
        _read(tmp_path, 'inherit = "a\\u0000b"\n')


def test_tables_are_laid_over_one_another() -> None:
    """Neither is changed by it."""
    above, own = {"lora": {"rank": 8, "alpha": 4}}, {"lora": {"rank": 2}, "data": {}}
    assert laid_over(above, own) == {"lora": {"rank": 2, "alpha": 4}, "data": {}}
    assert (above, own) == ({"lora": {"rank": 8, "alpha": 4}}, {"lora": {"rank": 2}, "data": {}})
