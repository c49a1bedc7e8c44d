"""The climb: one rung after another, until the target holds; goes on after a kill.

Each rung that is done leaves its result in its folder, with what it was made of and how its answers
were measured, and is not trained again. Answers to other questions are measured again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lorabay.errors import SetupError
from lorabay.files import durable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
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

    def __call__(self, recipe: Recipe, folder: Path) -> Outcome:
        """Train, and measure."""
        ...

    def measure(self, recipe: Recipe, folder: Path) -> dict[str, float]:
        """Return the figures of what is trained already."""
        ...

    def origin(self, recipe: Recipe) -> Mapping[str, str]:
        """Return what decides the weights, by name."""
        ...

    def of_answers(self) -> Mapping[str, object]:
        """Return what decides the figures of answers, by name, as values that JSON can hold."""
        ...


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

    Raises SetupError for the folder of another climb: of another recipe, other data or base.
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
    origin, asked = dict(train.origin(rung.recipe)), dict(train.of_answers())
    done = _done(folder, origin)
    if done is None:
        outcome = train(rung.recipe, folder)
    elif _answers(done, target, asked):
        outcome = done.outcome
    else:
        outcome = replace(done.outcome, figures=train.measure(rung.recipe, folder))

    if done is None or outcome is not done.outcome:
        folder.mkdir(parents=True, exist_ok=True)
        kept = {"origin": origin, "of_answers": asked, "outcome": asdict(outcome)}
        durable.write(folder / RESULT, f"{json.dumps(kept, indent=2)}\n".encode())

    missed = tuple(str(bound) for bound in target.missed(outcome.figures))
    return Step(rung.name, folder, outcome, missed)


class _Done(NamedTuple):
    """A rung that was tried before, and how its answers were measured."""

    outcome: Outcome
    of_answers: Mapping[str, object]


def _done(folder: Path, origin: Mapping[str, str]) -> _Done | None:
    """Return what a rung came to before; None if it has to be tried.

    Raises SetupError for a rung of another origin, or that does not say of which.
    """
    path = folder / RESULT
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        done = _Done(Outcome(**kept["outcome"]), kept.get("of_answers", {}))
        before = kept.get("origin")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise SetupError(f"{path} cannot be read: {error}") from error

    if not isinstance(before, dict):
        raise SetupError(
            f"{path} does not say which data and base its rung was trained on: an older version "
            "wrote it; choose another --output"
        )
    changed = [name for name in origin if before.get(name) != origin[name]]
    if changed:
        raise SetupError(
            f"{folder} has a rung of other {' and '.join(changed)}: choose another --output"
        )
    return done


def _answers(done: _Done, target: Target, asked: Mapping[str, object]) -> bool:
    """Return whether a rung was measured as a target asks for."""
    if target.needs_answers and done.of_answers != asked:
        return False
    return all(bound.figure in done.outcome.figures for bound in target.bounds)
