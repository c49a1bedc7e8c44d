"""How many tokens of prompts a step may read so that the streams beside it keep their pace.

A token of a prompt costs more the longer the prompt is, more on a busy machine, and more on one
processor than on another: what it costs is learnt from the steps that there were. Knows nothing of
vLLM.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

STRETCH = 2.0
"""How many times as long as without any prompt a step may take."""

SHORTEST_S = 0.1
"""A step may take this long in any case: nobody reads faster."""

LEAST = 8
"""A prompt is read on, however slow the steps are."""

WEIGHT = 0.3
"""Of the newest step, in the averages."""


class Step(NamedTuple):
    """One step: when it was planned, and how many tokens of prompts it reads."""

    began_s: float
    tokens: int


class StepPace:
    """Learns what steps cost from the times between them; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._step: Step | None = None
        self._before: Step | None = None
        self._plain_s: float | None = None
        self._token_s: float | None = None

    def tokens(self, most: int) -> int:
        """Return how many tokens of prompts the step that is planned now may read."""
        if self._plain_s is None or self._token_s is None:
            return most

        left_s = max(STRETCH * self._plain_s, SHORTEST_S) - self._plain_s
        fitting = most if self._token_s * most <= left_s else int(left_s / self._token_s)
        return max(min(LEAST, most), fitting)

    def planned(self, tokens: int) -> None:
        """Note that a step beside streams is planned now, with so many tokens of prompts."""
        now = Step(self._clock(), tokens)
        if self._step is not None and self._before is not None:
            self._learn(self._before, self._step, now.began_s - self._step.began_s)
        self._before, self._step = self._step, now

    def paused(self) -> None:
        """Note a step without streams: the time until the next one says nothing of either."""
        self._before = self._step = None

    def _learn(self, before: Step, step: Step, took_s: float) -> None:
        """Learn from the time between the beginning of `step` and that of the next one.

        While one step is computed the next one may be planned already, so that the time belongs to
        `step` or to the one before it: it says something if they are of one kind.
        """
        if not step.tokens and not before.tokens:
            self._plain_s = averaged(self._plain_s, took_s)
        elif step.tokens and before.tokens and self._plain_s is not None:
            tokens = (step.tokens + before.tokens) / 2
            self._token_s = averaged(self._token_s, max(took_s - self._plain_s, 0.0) / tokens)


def averaged(average: float | None, newest: float) -> float:
    """Return the moving average with its newest member."""
    return newest if average is None else average + WEIGHT * (newest - average)
