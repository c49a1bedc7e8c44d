"""The gate that a request's grammar passes before the engine sees it.

A grammar is what a client wants an answer to follow: a JSON schema, a regular expression, EBNF, a
choice, structural tags. Compiling one can take minutes and gigabytes, so a `GrammarCompiler` tries
it first, elsewhere and within limits. The gate remembers what passed and what did not, tries one
grammar at a time in the order of arrival, and ends a trial that nobody waits for any more. Serial:
trials. Runs on the event loop. Knows nothing of what is in a grammar, of processes or of vLLM.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from lorabay.errors import EngineUnavailable, InvalidRequest

REMEMBERED = 4096
"""Verdicts that are kept. One is a digest and a sentence: together they take about a megabyte."""

RETRY_AFTER_S = 5.0
"""When a client should ask again whose grammar found the queue full."""


@dataclass(frozen=True, slots=True)
class GrammarLimits:
    """What one grammar may take."""

    compile_s: float = 2.0
    """CPU seconds for all of its trial."""

    token_s: float = 0.05
    """CPU seconds for one token of an answer."""

    memory_mib: int = 256
    """Memory for its trial, in MiB."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A grammar that the engine can take; `backend` is the part of it that does."""

    backend: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A grammar that is wrong or takes too much, with the reason in a sentence."""

    reason: str


Verdict = Passed | Refused


class GrammarCompiler(Protocol):
    """Tries grammars where nothing else can come to harm."""

    async def compile(self, grammar: bytes) -> Verdict:
        """Return the verdict on one grammar; cancelling the call ends the trial.

        Raises EngineUnavailable where no verdict was reached and the next try may reach one, and
        after `stop`.
        """
        ...

    async def stop(self) -> None:
        """End everything that was started, also the trial that runs; idempotent."""
        ...


@dataclass(slots=True)
class Trial:
    """A trial under way or in the queue, and how many requests wait for its verdict."""

    task: asyncio.Task[Verdict]
    waiting: int = 0


class GrammarGate:
    """Lets grammars through, or raises.

    At most `queue` trials wait or run. `count` is called with the outcome of each: `passed`,
    `refused`, `abandoned` by its clients, `failed` without a verdict, or `turned_away` from a full
    queue.
    """

    def __init__(
        self,
        compiler: GrammarCompiler,
        *,
        queue: int,
        remembered: int = REMEMBERED,
        count: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        self._compiler = compiler
        self._queue = queue
        self._remembered = remembered
        self._count = count
        self._verdicts: OrderedDict[bytes, Verdict] = OrderedDict()
        self._trials: dict[bytes, Trial] = {}
        # Woken in the order of arrival.
        self._turn = asyncio.Lock()

    @property
    def trials(self) -> int:
        """Trials that run or wait."""
        return len(self._trials)

    async def admit(self, grammar: bytes) -> str:
        """Return the backend that takes `grammar`, after a trial if it is new.

        Raises InvalidRequest for a grammar that is refused, EngineUnavailable where too many wait
        or no verdict was reached.
        """
        digest = hashlib.sha256(grammar).digest()
        verdict = self._recall(digest) or await self._await_trial(digest, grammar)
        if isinstance(verdict, Refused):
            raise InvalidRequest(f"the structured output is refused: {verdict.reason}")

        return verdict.backend

    async def stop(self) -> None:
        """End the compiler, and with it all trials: who waits for one gets EngineUnavailable."""
        await self._compiler.stop()

    def _recall(self, digest: bytes) -> Verdict | None:
        """Return the verdict on a grammar that was tried before."""
        verdict = self._verdicts.get(digest)
        if verdict is not None:
            self._verdicts.move_to_end(digest)
        return verdict

    def _remember(self, digest: bytes, verdict: Verdict) -> None:
        self._verdicts[digest] = verdict
        while len(self._verdicts) > self._remembered:
            self._verdicts.popitem(last=False)

    async def _await_trial(self, digest: bytes, grammar: bytes) -> Verdict:
        """Wait for the trial of a grammar, which is begun unless another request did that."""
        trial = self._trials.get(digest) or self._begin(digest, grammar)
        trial.waiting += 1
        try:
            # One client that leaves must not take the verdict from the others.
            return await asyncio.shield(trial.task)
        finally:
            trial.waiting -= 1
            if trial.waiting == 0:
                self._end(digest, trial)

    def _begin(self, digest: bytes, grammar: bytes) -> Trial:
        if len(self._trials) >= self._queue:
            self._count("turned_away")
            raise EngineUnavailable(
                f"{self._queue} structured outputs wait to be compiled; try again later",
                retry_after=RETRY_AFTER_S,
            )

        trial = Trial(asyncio.create_task(self._try(digest, grammar)))
        self._trials[digest] = trial
        return trial

    def _end(self, digest: bytes, trial: Trial) -> None:
        """Forget a trial that nobody waits for, and end it if it is not over."""
        if self._trials.get(digest) is trial:
            del self._trials[digest]
        trial.task.cancel()

    async def _try(self, digest: bytes, grammar: bytes) -> Verdict:
        try:
            async with self._turn:
                verdict = await self._compiler.compile(grammar)
        except asyncio.CancelledError:
            self._count("abandoned")
            raise
        except EngineUnavailable:
            self._count("failed")
            raise

        self._remember(digest, verdict)
        self._count("passed" if isinstance(verdict, Passed) else "refused")
        return verdict
