"""What came out of a training, for a terminal, a program and a card."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Trained:
    """Result of a training run; losses are nats per answer token.

    `sentence` says what was trained. `loss_before` and `loss_after` are those of the held-out
    examples, `dev_loss` the best on dev, None without such examples. `kept` is the step whose
    weights were saved, `resumed` the step that a checkpoint had, 0 without one. `reason` says why
    it ended before all of `planned` steps, and `diverged` whether that is a failure.
    """

    folder: Path
    variant: str
    sentence: str
    examples: int
    heldout: int
    steps: int
    planned: int
    kept: int
    resumed: int
    tokens: int
    seconds: float
    loss_before: float
    loss_after: float
    dev_loss: float | None
    learning: int
    """Parameters that learnt."""
    size_bytes: int
    """Size of the weights."""
    reason: str = ""
    diverged: bool = False

    def describe(self) -> str:
        """Return the result as one line for a terminal."""
        work = f"{self.steps} steps over {self.examples} examples in {self.seconds:.0f} s"
        before, after = perplexity(self.loss_before), perplexity(self.loss_after)
        figures = f"held-out perplexity {before:.2f} -> {after:.2f}"
        return f"{self.folder}: {work}, {figures}, {self.size_bytes / 1e6:.1f} MB"

    def remarks(self) -> list[str]:
        """Return what else is to be said, a line each."""
        lines = []
        if self.resumed:
            lines.append(f"went on from the checkpoint of step {self.resumed}")
        if self.reason:
            lines.append(
                f"ended after {self.steps} of {self.planned} steps: {self.reason}; the weights are "
                f"those of step {self.kept}"
            )
        elif self.kept != self.steps:
            lines.append(f"the weights are those of step {self.kept}, the best on dev")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Return the result as values that JSON can hold."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {**values, "folder": str(self.folder)}


def perplexity(loss: float) -> float:
    """Return e to the loss; infinity where no number is large enough."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf
