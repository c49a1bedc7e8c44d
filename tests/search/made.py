"""A recipe with a space, and trainings that are functions: a search without a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lorabay.errors import SetupError
from lorabay.search.finalist import AS_IT_IS, Finalist, Run
from lorabay.search.space import Space, space_of
from lorabay.search.trials import Outcome
from lorabay.training.recipe import Recipe, recipe_of

TABLES = {
    "lora": {"rank": 8, "alpha": 16, "target_modules": ["q_proj", "v_proj"]},
    "training": {"learning_rate": 1e-3, "epochs": 2, "seed": 5},
    "search": {
        "rank": [4, 8, 16],
        "alpha_per_rank": [1, 2],
        "target_modules": [["v_proj", "q_proj"], ["q_proj", "k_proj", "v_proj", "o_proj"]],
        "learning_rate": [1e-4, 1e-2],
        "trials": 12,
    },
}


def made_space(**search: object) -> Space:
    """A space of four settings, with some keys of `[search]` replaced."""
    tables = {**TABLES, "search": {**TABLES["search"], **search}}
    return space_of(recipe_of(tables, "made"), "made")


def loss_of(recipe: Recipe) -> float:
    """A loss with its lowest point at rank 16 and a rate of 2e-3."""
    away = abs(np.log10(recipe.training.learning_rate / 2e-3))
    return float(1.0 + away + 2 / recipe.shape.rank)


@dataclass
class MadeTrainer:
    """Trains by the formula in eight looks; `asked` has the names of trials."""

    asked: list[str] = field(default_factory=list)
    dies_in: tuple[str, int] = ("", 0)

    def __call__(self, recipe: Recipe, name: str, look: Callable[[int, float], bool]) -> Outcome:
        self.asked.append(name)
        loss = loss_of(recipe)
        for number in range(1, 9):
            if (name, number) == self.dies_in:
                raise KeyboardInterrupt
            if look(number, loss + 1 / number):
                return Outcome(loss + 1 / number, is_pruned=True)
        return Outcome(loss)


@dataclass
class MadeFinals:
    """Trains for good by the formula, with a little of the seed in it."""

    noise: float = 0.01
    asked: list[str] = field(default_factory=list)

    def __call__(self, recipe: Recipe, folder: Path) -> Run:
        folder.mkdir(parents=True)
        self.asked.append(folder.name)
        random = np.random.default_rng(recipe.training.seed + recipe.shape.rank)
        loss = loss_of(recipe) + self.noise * float(random.normal())
        nats = 10 * (loss + np.linspace(-0.3, 0.3, 20))
        return Run(recipe.training.seed, loss, tuple(nats.tolist()), (10,) * 20)


def refuse(recipe: Recipe, name: str, look: Callable[[int, float], bool]) -> Outcome:
    """Fail as a training does whose recipe does not fit the base."""
    raise SetupError(f"no module of the base is called {recipe.shape.target_modules[0]}")


def made_finalist(name: str, losses: Sequence[float], test: float = 1.0) -> Finalist:
    """A finalist with these losses on dev, by seed, and twenty answers of a test part."""
    runs = [
        Run(seed, loss, tuple(10 * (test + place / 50) for place in range(20)), (10,) * 20)
        for seed, loss in enumerate(losses)
    ]
    return Finalist(name, None, {}, tuple(runs))


def three_finalists() -> tuple[Finalist, ...]:
    """The recipe as it is, which is best by its loss, and two others."""
    return (
        made_finalist(AS_IT_IS, [1.0, 1.1]),
        made_finalist("trial-3", [1.5, 1.6]),
        made_finalist("trial-7", [2.0, 2.1]),
    )
