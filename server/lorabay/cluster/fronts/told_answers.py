"""What a server that follows tells the keeper of answers while an adapter is rolled out.

The keeper judges a canary by the answers of all servers. They are told once a second, not each by
itself; while the keeper does not answer, the newest are kept, up to a bound. With them it is told
of canaries whose weights an engine refuses.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import structlog

from lorabay.cluster.fronts.errands import Errand
from lorabay.errors import LorabayError, StorageUnavailable
from lorabay.reconcile.events import Actor
from lorabay.rollout.figures import Sample
from lorabay.rollout.rollout import Arm

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from lorabay.serving.rollouts import Rollouts

logger = structlog.get_logger(__name__)

COUNT = "count_answers"
"""The errand that brings answers to the keeper."""
TELL_S = 1.0
KEPT = 2000
"""Answers that wait at most."""
CLUSTER = Actor("cluster")
"""Another server of the cluster."""


class ToldAnswers:
    """The answers that are still to be told."""

    def __init__(self, ask: Callable[[Errand], Awaitable[Any]]) -> None:
        self._ask = ask
        self._waiting: deque[list[Any]] = deque(maxlen=KEPT)
        self._refused: dict[str, str] = {}
        """The canary of each adapter whose weights are refused here."""

    def note(self, name: str, canary: str, arm: Arm, sample: Sample, percent: float) -> None:
        """Note an answer, which was begun while the canary had this share."""
        self._waiting.append([name, canary, str(arm), asdict(sample), percent])

    def note_refused(self, name: str, canary: str) -> None:
        """Note that the engine refuses the weights of a canary."""
        self._refused[name] = canary

    async def run(self) -> None:
        """Tell what has been noted, until cancelled."""
        while True:
            await asyncio.sleep(TELL_S)
            if self._waiting or self._refused:
                await self.tell()

    async def tell(self) -> None:
        """Tell what has been noted."""
        answers, refused = list(self._waiting), self._refused
        self._waiting.clear()
        self._refused = {}
        arguments = {"answers": answers, "refused": list(refused.items())}
        try:
            await self._ask(Errand(COUNT, arguments, CLUSTER))
        except StorageUnavailable:
            # The newest are kept, in their order.
            self._waiting = deque([*answers, *self._waiting], maxlen=KEPT)
            self._refused = refused | self._refused
        except LorabayError as error:
            logger.warning("answers are not counted", answers=len(answers), reason=error.message)


def take_in(
    rollouts: Rollouts, answers: Iterable[list[Any]], refused: Iterable[list[str]] = ()
) -> None:
    """Take in what another server has told; a former release does not tell of shares."""
    for name, canary, arm, sample, *percent in answers:
        rollouts.take_in_told(name, canary, Arm(arm), Sample(**sample), *percent)
    for name, canary in refused:
        rollouts.take_in_refused(name, canary)
