"""The final of a search: the best trials and the recipe as it is, each trained over seeds.

One training that came out best may have been lucky. So each recipe is trained over fresh seeds, and
a verdict says who wins and which differences are noise. The test part is measured once for each
training, for the report, and decides nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lorabay.evaluation.bootstrap import Difference, Interval, difference, interval
from lorabay.files import durable
from lorabay.search.finalist import AS_IT_IS, Finalist, Run, least_difference, seed_spread
from lorabay.search.verdict import ByLoss

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from lorabay.search.space import Choice
    from lorabay.search.verdict import Verdict
    from lorabay.training.recipe import Recipe

_RESULT = "result.json"


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
class Final:
    """All finalists, the recipe as it is first. `draws` are those of the bootstrap."""

    finalists: tuple[Finalist, ...]
    draws: int = 1000
    verdict: Verdict = field(default_factory=ByLoss)

    @property
    def winner(self) -> Finalist:
        """The finalist that the verdict is for."""
        return self.ranked[0]

    @property
    def ranked(self) -> list[Finalist]:
        """The finalists, the best one first."""
        return self.verdict.ranked(self.finalists)

    @property
    def spread(self) -> float:
        """The spread of the loss on dev that another seed makes."""
        return seed_spread(self.finalists)

    def is_noise(self, one: Finalist) -> bool:
        """Return whether the difference between a finalist and the winner may be chance."""
        return self.verdict.is_noise(one, self.winner, self.finalists)

    def test_interval(self, one: Finalist) -> Interval:
        """Return the interval of a finalist's loss on test."""
        return interval(one.test, self.draws)

    @property
    def gain(self) -> Difference:
        """The winner's loss on test against that of the recipe as it is."""
        return difference(self.winner.test, self.finalists[0].test, self.draws)

    def sentences(self) -> list[str]:
        """Return what came out, for people."""
        winner = self.winner
        lines = self.verdict.sentences(winner, self.finalists)
        if winner.name == AS_IT_IS:
            return [*lines, "the recipe as it is was not beaten"]
        return [*lines, self._on_test()]

    def _on_test(self) -> str:
        gain = self.gain
        low, high = gain.interval
        figures = f"loss {gain.value:+.4f} ({low:+.4f} to {high:+.4f}, p {gain.p:.2g})"
        apart = abs(self.winner.dev_loss - self.finalists[0].dev_loss)
        if gain.is_noise or apart <= least_difference(self.finalists):
            return f"on test it does not clearly beat the recipe as it is: {figures}"
        return f"on test it {'beats' if gain.value < 0 else 'is beaten by'} the recipe: {figures}"

    def as_dict(self) -> dict[str, Any]:
        """Return the final as values that JSON can hold."""
        return {
            "winner": self.winner.name,
            "spread": self.spread,
            "least_difference": least_difference(self.finalists),
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
            **self.verdict.figures(one),
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
            runs.append(_run(seeded, folder / run_name(name, seed), train))
            after(f"{name}, seed {seed}")
        finalists.append(Finalist(name, trial, choice, tuple(runs)))
    return Final(tuple(finalists))


def run_name(contestant: str, seed: int) -> str:
    """Return the name of a training's folder."""
    return f"{contestant}-seed-{seed}"


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
