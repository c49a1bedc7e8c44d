"""The space around a recipe, and the recipe of a choice."""

from __future__ import annotations

import pytest

from lorabay.errors import SetupError
from lorabay.search.space import space_of
from lorabay.training.recipe import recipe_of
from tests.search.made import TABLES, made_space


def test_only_what_is_listed_varies() -> None:
    """By the names of the table; the rate on a scale of logarithms."""
    found = made_space(rank=[]).distributions()
    assert list(found) == ["alpha_per_rank", "target_modules", "learning_rate"]
    assert found["learning_rate"].log


def test_a_choice_is_in_the_recipe() -> None:
    """The rest is the recipe's own, and the search is gone."""
    choice = {"rank": 16, "alpha_per_rank": 2, "target_modules": "k_proj,q_proj", "dropout": 0.1}
    recipe = made_space().recipe_for({**choice, "variant": "rslora", "epochs": 3})
    assert (recipe.shape.rank, recipe.shape.alpha, recipe.shape.dropout) == (16, 32, 0.1)
    assert recipe.shape.target_modules == ("k_proj", "q_proj")
    assert (recipe.variant.name, recipe.training.epochs) == ("rslora", 3)
    assert (recipe.training.learning_rate, recipe.training.seed) == (1e-3, 5)
    assert recipe.search is None


def test_alpha_follows_the_rank() -> None:
    """Where alpha does not vary, it stays as many times the rank as it was."""
    assert made_space().recipe_for({"rank": 4}).shape.alpha == 8


def test_the_longest_training() -> None:
    """Of the epochs that vary, or the recipe's."""
    assert made_space().most_epochs == 2
    assert made_space(epochs=[1, 4]).most_epochs == 4


@pytest.mark.parametrize(
    ("search", "problem"),
    [
        (None, "has no table"),
        ({}, "names nothing to try"),
        ({"rank": [0]}, "search.rank.0"),
        ({"learning_rate": [1e-2, 1e-3]}, "lowest and the highest"),
        ({"variant": ["full"]}, "search.variant.0"),
        ({"ranks": [1]}, "unknown key search.ranks"),
    ],
)
def test_a_bad_space_is_refused(search: dict[str, object] | None, problem: str) -> None:
    """When the recipe is read."""
    tables = {name: table for name, table in TABLES.items() if name != "search"}
    if search is not None:
        tables["search"] = search
    with pytest.raises(SetupError, match=problem):
        space_of(recipe_of(tables, "made"), "made")
