"""The trials of a search: choices by TPE, pruned by Hyperband, kept in a journal on disk.

A search that was killed goes on where it was: a trial that was running keeps its number and its
choice. The sampler of a trial is seeded by the trial's number, because Optuna keeps the state of
none; so with one worker the same recipe gives the same table, kills or not.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from filelock import FileLock

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import optuna

    from lorabay.search.space import Choice, Distribution, Space
    from lorabay.training.recipe import Recipe

JOURNAL = "trials.journal"
PRUNED = "pruned: others are better after as many steps"

_STARTUP = 8
"""Trials that are chosen at random before TPE has something to go by."""
_FIRST_SEED = 1000
_PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a trial's training ended: its best loss on dev, and whether it was stopped for good."""

    loss: float
    is_pruned: bool = False


class Trainer(Protocol):
    """Trains a recipe, and tells each look at dev."""

    def __call__(self, recipe: Recipe, name: str, look: Callable[[int, float], bool]) -> Outcome:
        """Train, and return how that ended.

        `look(number, loss)` is called after each look at dev, counted from 1, and says whether to
        stop. Raises SetupError for a training that cannot be.
        """
        ...


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial that has ended. `loss` is the best on dev; None for one that failed."""

    number: int
    choice: Choice
    state: str
    loss: float | None
    looks: int
    problem: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the trial as values that JSON can hold."""
        return {name: getattr(self, name) for name in self.__slots__} | {
            "choice": dict(self.choice)
        }


@dataclass(frozen=True, slots=True)
class Study:
    """The journal of a search in its folder, and the space that it is about."""

    folder: Path
    space: Space

    def run(self, train: Trainer, after: Callable[[Trial], None] = lambda trial: None) -> None:
        """Run trials until there are as many as the recipe wants; several workers may.

        A worker that takes over goes on with the trials that nobody runs any more: call `revive`
        before the first of them. Calls `after` with each trial that has ended.
        """
        with quiet_optuna():
            while (trial := self._next()) is not None:
                self._run(trial, train)
                after(self._found(trial._trial_id))

    def trials(self) -> list[Trial]:
        """Return the trials that have ended, in their order."""
        with quiet_optuna():
            return [_as_trial(one) for one in self._study().trials if one.state.is_finished()]

    def best(self, count: int) -> list[Trial]:
        """Return the best trials that were not pruned, no choice twice."""
        done = [one for one in self.trials() if one.state == "complete" and one.loss is not None]
        best: dict[str, Trial] = {}
        for trial in sorted(done, key=lambda one: (one.loss, one.number)):
            best.setdefault(repr(sorted(trial.choice.items())), trial)
        return list(best.values())[:count]

    def load(self) -> optuna.Study:
        """Return Optuna's own study, for plots."""
        with quiet_optuna():
            return self._study()

    def _next(self) -> optuna.Trial | None:
        """Return the next trial: one that a kill has left, or a new one; None after the last."""
        import optuna

        # Workers count and begin one after the other.
        with FileLock(self.folder / ".begin.lock"):
            study = self._study()
            left = [one for one in study.trials if _is_left(one)]
            if left:
                study.sampler = self._sampler(left[0].number)
                study._storage.set_trial_user_attr(left[0]._trial_id, "left", False)
                return optuna.Trial(study, left[0]._trial_id)

            number = len(study.trials)
            if number >= self.space.table.trials:
                return None
            study.sampler = self._sampler(number)
            return study.ask(self.space.distributions())

    def revive(self) -> None:
        """Leave the trials that a kill has stopped to the workers that begin now."""
        import optuna

        with quiet_optuna():
            study = self._study()
            for one in study.trials:
                if one.state == optuna.trial.TrialState.RUNNING:
                    study._storage.set_trial_user_attr(one._trial_id, "left", True)

    def _run(self, trial: optuna.Trial, train: Trainer) -> None:
        from optuna.trial import TrialState

        values = {
            name: _value(trial, name, distribution)
            for name, distribution in self.space.distributions().items()
        }

        def look(number: int, loss: float) -> bool:
            trial.report(loss, number)
            return bool(trial.should_prune())

        study = trial.study
        try:
            recipe = self.space.recipe_for(values)
            outcome = train(recipe, f"{trial.number:03d}", look)
        except SetupError as error:
            trial.set_user_attr(_PROBLEM, error.message)
            study.tell(trial, state=TrialState.FAIL)
            return

        if outcome.is_pruned:
            trial.set_user_attr("loss", outcome.loss)
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, outcome.loss)

    def _found(self, trial_id: int) -> Trial:
        return _as_trial(self._study()._storage.get_trial(trial_id))

    def _study(self) -> optuna.Study:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        looks = self.space.table.looks * self.space.most_epochs
        storage = JournalStorage(JournalFileBackend(str(self.folder / JOURNAL)))
        return optuna.create_study(
            study_name="search",
            storage=storage,
            load_if_exists=True,
            pruner=optuna.pruners.HyperbandPruner(1, looks, 3),
        )

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        from optuna.samplers import TPESampler

        seed = _FIRST_SEED * (self.space.table.seed + 1) + number
        return TPESampler(seed=seed, n_startup_trials=_STARTUP)


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna's lines about each trial, and its warnings of what is new, from a terminal."""
    from optuna import logging

    level = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)


def _value(trial: optuna.Trial, name: str, distribution: Distribution) -> Any:
    """Return a trial's value of a setting: the one that it has, or a new one."""
    from optuna.distributions import CategoricalDistribution

    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    return trial.suggest_float(name, distribution.low, distribution.high, log=True)


def _is_left(trial: optuna.trial.FrozenTrial) -> bool:
    return not trial.state.is_finished() and bool(trial.user_attrs.get("left"))


def _as_trial(trial: optuna.trial.FrozenTrial) -> Trial:
    losses = trial.intermediate_values
    loss = trial.value if trial.state.name == "COMPLETE" else min(losses.values(), default=None)
    return Trial(
        number=trial.number,
        choice=dict(trial.params),
        state={"FAIL": "failed"}.get(trial.state.name, trial.state.name.lower()),
        loss=None if trial.state.name == "FAIL" else loss,
        looks=len(losses),
        problem=trial.user_attrs.get(_PROBLEM, ""),
    )
