"""What a training tells while it runs, and to whom.

Whoever wants to follow one fulfils `Tracker`: the lines of metrics, a search that prunes, a service
for experiments. Knows none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Learnt:
    """One step, counted from 1: its loss before it in nats per learnt token, and its rate."""

    step: int
    steps: int
    epoch: int
    loss: float
    learning_rate: float
    tokens: int
    """Tokens that were read, without padding."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Looked:
    """One look at data that is not learnt, after so many steps: nats per learnt token."""

    step: int
    steps: int
    loss: float
    is_best: bool


class Tracker(Protocol):
    """Follows a training."""

    def began(self, step: int) -> None:
        """Take note that the training goes on after so many steps: 0, or those of a checkpoint.

        What was told of later steps is told again.
        """

    def learnt(self, step: Learnt) -> None:
        """Take note of a step."""

    def looked(self, look: Looked) -> str | None:
        """Take note of a look at dev; return why the training shall end, or None."""
