"""The baseline is a file that a recipe inherits."""

from __future__ import annotations

import tomllib
from pathlib import Path

from lorabay.search.baseline import baseline
from lorabay.training.recipe import read_recipe
from tests.search.made import made_space

OTHER = 'inherit = "../baseline.toml"\n\n[training]\nseed = 9\n'


def test_another_recipe_takes_it_over(tmp_path: Path) -> None:
    """Variant, shape and training; not the seed, not the data."""
    choice = {"rank": 16, "learning_rate": 2.5e-5, "variant": "lora+", "dropout": 0.1}
    recipe = made_space().recipe_for(choice)
    text = baseline(recipe, ["Found by a search"])
    assert text.startswith("# Found by a search\n")
    assert set(tomllib.loads(text)) == {"variant", "lora", "training"}

    (tmp_path / "baseline.toml").write_text(text)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "recipe.toml").write_text(OTHER)
    other = read_recipe(tmp_path / "shop")
    assert other.shape == recipe.shape
    assert other.variant == recipe.variant
    assert other.training.learning_rate == 2.5e-5
    assert other.training.seed == 9
