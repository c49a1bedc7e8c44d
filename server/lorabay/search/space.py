"""The space of a search: which settings vary, what they may be, and the recipe of a choice.

A choice is a value for each setting that varies, by the setting's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lorabay.errors import SetupError
from lorabay.training.recipe import Recipe, laid_over, recipe_of

if TYPE_CHECKING:
    from typing import TypeAlias

    from optuna.distributions import CategoricalDistribution, FloatDistribution

    from lorabay.training.search_table import SearchTable

    Distribution: TypeAlias = CategoricalDistribution | FloatDistribution

Choice = Mapping[str, Any]

_TABLES = {"rank": "lora", "dropout": "lora", "learning_rate": "training", "epochs": "training"}


@dataclass(frozen=True, slots=True)
class Space:
    """What varies around a recipe."""

    recipe: Recipe
    table: SearchTable

    def distributions(self) -> dict[str, Distribution]:
        """Return Optuna's distribution of each setting that varies."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution

        found: dict[str, Distribution] = {}
        for name, values in self._listed().items():
            found[name] = CategoricalDistribution(values)
        if self.table.learning_rate is not None:
            found["learning_rate"] = FloatDistribution(*self.table.learning_rate, log=True)
        return found

    def recipe_for(self, choice: Choice) -> Recipe:
        """Return the recipe with a choice in it, and without its search.

        Raises SetupError for a choice whose settings do not go together.
        """
        tables = self.recipe.model_dump(exclude={"search"}, exclude_none=True)
        rank = int(choice.get("rank", self.recipe.shape.rank))
        changes: dict[str, dict[str, Any]] = {"lora": {}, "training": {}}
        for name, value in choice.items():
            if name in _TABLES:
                changes[_TABLES[name]][name] = value
        if "target_modules" in choice:
            changes["lora"]["target_modules"] = str(choice["target_modules"]).split(",")
        if "alpha_per_rank" in choice or "rank" in choice:
            per_rank = choice.get("alpha_per_rank", self._alpha_per_rank)
            changes["lora"]["alpha"] = max(1, round(rank * float(per_rank)))
        if "variant" in choice:
            changes["variant"] = {"name": choice["variant"]}
        return recipe_of(laid_over(tables, changes), "a trial of the search")

    @property
    def most_epochs(self) -> int:
        """The longest training that there can be."""
        return max((*self.table.epochs, self.recipe.training.epochs * (not self.table.epochs)))

    @property
    def _alpha_per_rank(self) -> float:
        return self.recipe.shape.alpha / self.recipe.shape.rank

    def _listed(self) -> dict[str, list[Any]]:
        """Return the values of the settings that are chosen from a list, without empty lists."""
        listed: dict[str, list[Any]] = {
            "rank": list(self.table.rank),
            "alpha_per_rank": list(self.table.alpha_per_rank),
            "target_modules": [",".join(sorted(set(one))) for one in self.table.target_modules],
            "variant": list(self.table.variant),
            "dropout": list(self.table.dropout),
            "epochs": list(self.table.epochs),
        }
        return {name: values for name, values in listed.items() if values}


def space_of(recipe: Recipe, place: str) -> Space:
    """Return the space of a recipe; raises SetupError for one that names none."""
    if recipe.search is None:
        raise SetupError(
            f"{place} has no table [search]: it says what to try, as in "
            "`[search]` and `learning_rate = [5e-4, 5e-3]`"
        )
    if recipe.variant.name == "full":
        raise SetupError(f"{place}: the variant full has no [lora] to search in")
    return Space(recipe, recipe.search)
