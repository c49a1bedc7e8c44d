"""The final of a search: the best trials and the recipe as it is, each trained over seeds.

One training that came out best may have been lucky. So the winner is who has the lowest mean loss
on dev over fresh seeds, and a difference below the spread of the seeds is called noise. The test
part is measured once for each training, for the report, and decides nothing.
"""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lorabay.evaluation.bootstrap import Difference, Interval, difference, interval
from lorabay.evaluation.measures import Measure, loss_of
from lorabay.files import durable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from lorabay.search.space import Choice
    from lorabay.training.recipe import Recipe

AS_IT_IS = "recipe"
"""Name of the recipe without any choice."""

_RESULT = "result.json"


@dataclass(frozen=True, slots=True)
class Run:
    """One training of the final: its loss on dev, and the nats and tokens of each test answer."""

    seed: int
    dev_loss: float
    test_nats: tuple[float, ...]
    test_tokens: tuple[int, ...]


class Contestant(NamedTuple):
    """A recipe of the final, the trial that it is from, None for the recipe as it is, and its
    choice.
    """

    trial: int | None
    choice: Choice
    recipe: Recipe


class FinalTrainer(Protocol):
    """Trains a recipe for good and measures it."""

    def __call__(self, recipe: Recipe, folder: Path) -> Run:
        """Train into a folder, and return the losses on dev and test."""
        ...


@dataclass(frozen=True, slots=True)
class Finalist:
    """A recipe over seeds. `trial` is its number, None for the recipe as it is."""

    name: str
    trial: int | None
    choice: Choice
    runs: tuple[Run, ...]

    @property
    def dev_loss(self) -> float:
        """The mean loss on dev over the seeds."""
        return statistics.fmean(run.dev_loss for run in self.runs)

    @property
    def spread(self) -> float:
        """The standard deviation of the loss on dev over the seeds."""
        return statistics.stdev(run.dev_loss for run in self.runs)

    @property
    def test(self) -> Measure:
        """The loss on test, of the mean over the seeds of each answer's nats."""
        by_answer = zip(*(run.test_nats for run in self.runs), strict=True)
        return loss_of([statistics.fmean(nats) for nats in by_answer], self.runs[0].test_tokens)


@dataclass(frozen=True, slots=True)
class Final:
    """All finalists, the recipe as it is first. `draws` are those of the bootstrap."""

    finalists: tuple[Finalist, ...]
    draws: int = 1000

    @property
    def winner(self) -> Finalist:
        """The finalist with the lowest mean loss on dev."""
        return min(self.finalists, key=lambda one: one.dev_loss)

    @property
    def spread(self) -> float:
        """The spread that another seed makes: of all finalists together."""
        return math.sqrt(statistics.fmean(one.spread**2 for one in self.finalists))

    def is_noise(self, one: Finalist) -> bool:
        """Return whether a finalist is no further from the winner than seeds are apart."""
        return one.dev_loss - self.winner.dev_loss <= self.spread

    def test_interval(self, one: Finalist) -> Interval:
        """Return the interval of a finalist's loss on test."""
        return interval(one.test, self.draws)

    @property
    def gain(self) -> Difference:
        """The winner's loss on test against that of the recipe as it is."""
        return difference(self.winner.test, self.finalists[0].test, self.draws)

    def sentences(self) -> list[str]:
        """Return what came out, for people."""
        winner, spread = self.winner, self.spread
        lines = [
            f"{winner.name} has the lowest loss on dev, {winner.dev_loss:.4f} over "
            f"{len(winner.runs)} seeds; another seed makes {spread:.4f} of difference"
        ]
        lines += [
            f"{one.name} is {one.dev_loss - winner.dev_loss:.4f} above it, which is noise"
            for one in self.finalists
            if one is not winner and self.is_noise(one)
        ]

        if winner.name == AS_IT_IS:
            return [*lines, "the recipe as it is was not beaten"]
        return [*lines, self._on_test()]

    def _on_test(self) -> str:
        gain = self.gain
        low, high = gain.interval
        figures = f"loss {gain.value:+.4f} ({low:+.4f} to {high:+.4f}, p {gain.p:.2g})"
        if gain.is_noise or self.is_noise(self.finalists[0]):
            return f"on test it does not clearly beat the recipe as it is: {figures}"
        return f"on test it {'beats' if gain.value < 0 else 'is beaten by'} the recipe: {figures}"

    def as_dict(self) -> dict[str, Any]:
        """Return the final as values that JSON can hold."""
        return {
            "winner": self.winner.name,
            "spread": self.spread,
            "finalists": [self._finalist(one) for one in self.finalists],
            "gain_on_test": {
                "difference": self.gain.value,
                "interval": list(self.gain.interval),
                "p": self.gain.p,
            },
            "sentences": self.sentences(),
        }

    def _finalist(self, one: Finalist) -> dict[str, Any]:
        return {
            "name": one.name,
            "trial": one.trial,
            "choice": dict(one.choice),
            "dev_loss": one.dev_loss,
            "dev_spread": one.spread,
            "noise": self.is_noise(one),
            "test_loss": one.test.value,
            "test_interval": list(self.test_interval(one)),
            "seeds": {str(run.seed): run.dev_loss for run in one.runs},
        }


def run_final(
    contestants: Mapping[str, Contestant],
    seeds: Iterable[int],
    folder: Path,
    train: FinalTrainer,
    after: Callable[[str], None] = lambda name: None,
) -> Final:
    """Train each contestant with each seed, those that `folder` has already excepted.

    Calls `after` with the name of each training that is done.
    """
    seeds = tuple(seeds)
    finalists = []
    for name, (trial, choice, recipe) in contestants.items():
        runs = []
        for seed in seeds:
            training = recipe.training.model_copy(update={"seed": seed})
            seeded = recipe.model_copy(update={"training": training})
            runs.append(_run(seeded, folder / f"{name}-seed-{seed}", train))
            after(f"{name}, seed {seed}")
        finalists.append(Finalist(name, trial, choice, tuple(runs)))
    return Final(tuple(finalists))


def _run(recipe: Recipe, folder: Path, train: FinalTrainer) -> Run:
    """Return the result of a training: the one that is there, or that of a new one."""
    path = folder / _RESULT
    if path.exists():
        found = json.loads(path.read_bytes())
        return Run(
            found["seed"],
            found["dev_loss"],
            tuple(found["test_nats"]),
            tuple(found["test_tokens"]),
        )

    run = train(recipe, folder)
    durable.write(path, json.dumps(asdict(run)) + "\n")
    return run
