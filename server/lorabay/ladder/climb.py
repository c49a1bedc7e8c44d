"""The climb: one rung after another, until the target holds; goes on after a kill.

Each rung that is done leaves its result in its folder, and is not trained again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lorabay.errors import SetupError
from lorabay.files import durable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lorabay.ladder.rungs import Rung
    from lorabay.ladder.targets import Target
    from lorabay.training.recipe import Recipe

RESULT = "rung.json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rung came to and what it cost.

    `figures` are those of the held-out examples; losses are in nats a token. `learning` counts the
    parameters that learnt, `size_bytes` is that of the weights, which a server has to hold.
    """

    figures: dict[str, float]
    seconds: float
    learning: int
    size_bytes: int


class RungTrainer(Protocol):
    """Trains a recipe into a folder and measures the result."""

    def __call__(self, recipe: Recipe, folder: Path) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Step:
    """A rung that was tried, where its weights are, and whether the target holds there."""

    name: str
    folder: Path
    outcome: Outcome
    missed: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether every bound of the target holds."""
        return not self.missed

    def sentence(self) -> str:
        """Say what came out."""
        if self.holds:
            return f"{self.name}: the target holds; the weights are in {self.folder}"
        return f"{self.name}: {' and '.join(self.missed)} does not hold"


@dataclass(frozen=True, slots=True)
class Climb:
    """Every rung that was tried, in order, the last of them the highest."""

    target: str
    steps: tuple[Step, ...]

    @property
    def reached(self) -> Step | None:
        """The first rung that holds; None if none does."""
        return next((step for step in self.steps if step.holds), None)

    def sentence(self) -> str:
        """Say how it ended, and what to do."""
        if self.reached is None:
            return (
                f"no rung reaches {self.target}, the whole model included: more or better data is "
                "what is left"
            )
        return f"{self.target} holds at the rung {self.reached.name}: {self.reached.folder}"

    def as_dict(self) -> dict[str, Any]:
        """Return the climb as values that JSON can hold."""
        reached = self.reached
        return {
            "target": self.target,
            "reached": None if reached is None else reached.name,
            "rungs": [
                {
                    "name": step.name,
                    "folder": str(step.folder),
                    "missed": list(step.missed),
                    **asdict(step.outcome),
                }
                for step in self.steps
            ],
        }


def climb(
    rungs: Sequence[Rung],
    target: Target,
    train: RungTrainer,
    folder: Path,
    *,
    tell: Callable[[str], None],
) -> Climb:
    """Try rungs from the lowest on, each in a folder of its own, and stop at the first that holds.

    Raises SetupError for the folder of another climb.
    """
    steps = []
    for rung in rungs:
        step = _step(rung, target, train, folder / rung.name)
        tell(step.sentence())
        steps.append(step)
        if step.holds:
            break
    return Climb(str(target), tuple(steps))


def _step(rung: Rung, target: Target, train: RungTrainer, folder: Path) -> Step:
    outcome = _done(rung, target, folder)
    if outcome is None:
        outcome = train(rung.recipe, folder)
        folder.mkdir(parents=True, exist_ok=True)
        kept = {"recipe": rung.recipe.model_dump(mode="json"), "outcome": asdict(outcome)}
        durable.write(folder / RESULT, f"{json.dumps(kept, indent=2)}\n".encode())

    missed = tuple(str(bound) for bound in target.missed(outcome.figures))
    return Step(rung.name, folder, outcome, missed)


def _done(rung: Rung, target: Target, folder: Path) -> Outcome | None:
    """Return the outcome of a rung that was tried before; None if it has to be tried."""
    try:
        kept = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise SetupError(f"{folder / RESULT} cannot be read: {error}") from error

    if kept.get("recipe") != rung.recipe.model_dump(mode="json"):
        raise SetupError(f"{folder} has a rung of another recipe: choose another --output")
    outcome = Outcome(**kept["outcome"])
    measured = all(bound.figure in outcome.figures for bound in target.bounds)
    return outcome if measured else None
