"""A trial as a training: the recipe on the parts of the search, looked at and pruned."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lorabay.search.trials import PRUNED, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lorabay.search.parts import Parts
    from lorabay.training.loop.trackers import Learnt, Looked
    from lorabay.training.recipe import Recipe


@dataclass(slots=True)
class Pruner:
    """Follows a training, tells each look at dev by its number, and ends it where that says so."""

    look: Callable[[int, float], bool]
    every: int
    best: float = field(default=float("inf"))
    is_pruned: bool = False

    def began(self, step: int) -> None:
        """A training that goes on tells its later looks only: the journal has the others."""

    def learnt(self, step: Learnt) -> None:
        """Steps are of no interest."""

    def looked(self, look: Looked) -> str | None:
        """Tell a look; return why the training shall end, or None."""
        self.best = min(self.best, look.loss)
        # The last look may come sooner than `every` steps after the one before it.
        self.is_pruned = self.look(-(-look.step // self.every), look.loss)
        return PRUNED if self.is_pruned else None


@dataclass(frozen=True, slots=True)
class TrainingTrials:
    """Trains trials on a base in `folder`, where nothing of them stays."""

    base: Path
    parts: Parts
    folder: Path
    looks: int

    def __call__(self, recipe: Recipe, name: str, look: Callable[[int, float], bool]) -> Outcome:
        """Train a trial, from its checkpoint if a kill has left one."""
        from lorabay.base.transformers_quiet import quiet_transformers

        with quiet_transformers():
            from lorabay.training.train import train

        output = self.folder / name
        every = self._steps_between_looks(recipe)
        pruner = Pruner(look, every)
        trained = train(
            with_looks(self.parts.put_into(recipe), every),
            output,
            base=self.base,
            data=self.folder,
            trackers=[pruner],
        )
        shutil.rmtree(output, ignore_errors=True)

        loss = pruner.best if trained.dev_loss is None else trained.dev_loss
        return Outcome(loss, pruner.is_pruned)

    def _steps_between_looks(self, recipe: Recipe) -> int:
        from lorabay.training.dataset import read_examples

        settings = recipe.training
        per_step = settings.batch_size * settings.accumulation
        steps = -(-len(read_examples(self.parts.train)) // per_step)
        return max(1, steps // self.looks)


def with_looks(recipe: Recipe, every: int) -> Recipe:
    """Return a recipe that looks at dev after each `every` steps."""
    training = recipe.training.model_copy(update={"evaluate_every": every})
    return recipe.model_copy(update={"training": training})
