"""Whether a training still goes well: it ends when it diverges, or when nothing gets better.

Works on losses only; knows neither models nor data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_COMPARED = 10
"""Steps whose mean loss is compared with that of the first ones."""
_TOO_MUCH = 2.0
"""How many times the loss of the first steps is a divergence."""


@dataclass(slots=True)
class Divergence:
    """Watches the losses of the steps."""

    first: list[float] = field(default_factory=list)
    latest: list[float] = field(default_factory=list)

    def after(self, loss: float) -> str | None:
        """Return why the training has diverged, None if it has not."""
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if len(self.first) < _COMPARED:
            self.first.append(loss)
            return None

        self.latest = [*self.latest, loss][-_COMPARED:]
        if len(self.latest) < _COMPARED or sum(self.latest) <= _TOO_MUCH * sum(self.first):
            return None
        mean, begin = sum(self.latest) / _COMPARED, sum(self.first) / _COMPARED
        return f"the loss of the last {_COMPARED} steps is {mean:.3f}, after {begin:.3f} at first"

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"first": self.first, "latest": self.latest}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.first, self.latest = list(state["first"]), list(state["latest"])


@dataclass(slots=True)
class Improvement:
    """Watches the losses on dev; `patience` is how many in a row may be no better than the best."""

    patience: int | None
    best: float = math.inf
    best_step: int = 0
    in_vain: int = 0

    def is_better(self, loss: float, step: int) -> bool:
        """Count a loss after so many steps; return whether it is the best so far."""
        if loss < self.best:
            self.best, self.best_step, self.in_vain = loss, step, 0
            return True
        self.in_vain += 1
        return False

    @property
    def has_ended(self) -> bool:
        """Whether patience is at its end."""
        return self.patience is not None and self.in_vain >= self.patience

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"best": self.best, "best_step": self.best_step, "in_vain": self.in_vain}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.best, self.best_step = state["best"], state["best_step"]
        self.in_vain = state["in_vain"]
