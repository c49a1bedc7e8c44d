"""The server's side of the helper process that tries grammars (`grammar_trials`).

Starts the process for the first grammar, sends it one at a time, and starts it again when it is
gone. A server that is asked for no structured output never has it: it takes half a gigabyte, and a
dozen CPU seconds to import its libraries. It is a program of its own, not a fork of the server:
nothing of the server's is open in it. Runs on the event loop. Knows nothing of what a trial does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from itertools import count
from multiprocessing.reduction import ForkingPickler
from typing import Any

import structlog

from lorabay.errors import EngineUnavailable
from lorabay.serving.grammar_trials import Command, Prepare, encode
from lorabay.serving.grammars import RETRY_AFTER_S, GrammarLimits, Passed, Refused, Verdict

logger = structlog.get_logger(__name__)

ARGUMENTS = (sys.executable, "-P", "-m", "lorabay.serving.grammar_trials")

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # One heap, so that a thread reserves no memory of its own under the limit.
    "MALLOC_ARENA_MAX": "1",
}
"""Variables that keep the process in one thread. It forks, and more threads would take the engine's
cores."""

START_S = 300.0
"""Longest start: a busy machine imports the libraries slowly."""

START_PAUSE_S = 30.0
"""Pause after a start that failed: each costs as much as one that does not."""


class GrammarHelper:
    """A `GrammarCompiler` that tries grammars in a helper process.

    `prepare` is called in that process, which has the variables `environ` besides the server's, and
    must be found there by its name. `compile` must not be called again before the last call has
    ended; a `GrammarGate` sees to that.
    """

    def __init__(
        self,
        prepare: Prepare,
        limits: GrammarLimits,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._prepare = prepare
        self._limits = limits
        self._environ = dict(environ or {})
        self._process: asyncio.subprocess.Process | None = None
        self._launch: asyncio.Task[asyncio.subprocess.Process] | None = None
        self._not_before = 0.0
        self._numbers = count()
        self._stopped = False

    @property
    def pid(self) -> int | None:
        """The process; None before the first start and after the end."""
        return None if self._process is None else self._process.pid

    async def compile(self, grammar: bytes) -> Verdict:
        """Return the verdict on one grammar; cancelling the call ends its trial.

        Raises EngineUnavailable if the process is not there, ends meanwhile, or finds no CPU time.
        """
        process = await self._running()
        number = next(self._numbers)
        try:
            await _send(process, Command(number, grammar))
            answer = await _answer(process, number)
        except asyncio.CancelledError:
            with contextlib.suppress(ConnectionError, RuntimeError):
                _write(process, Command(number, None))
            raise
        except (ConnectionError, EOFError):
            await self._end()
            raise _unavailable("the grammars' compiler ended; try again") from None

        if "busy" in answer:
            raise _unavailable("the machine is too busy to compile a structured output")
        if "reason" in answer:
            return Refused(answer["reason"])
        return Passed(answer["backend"])

    async def stop(self) -> None:
        """End the process, whatever it does; idempotent."""
        self._stopped = True
        await self._end()
        if self._launch is not None:
            await asyncio.wait({self._launch})

    async def _running(self) -> asyncio.subprocess.Process:
        """Return the process, started if it is not there.

        A start goes on when who asked for it has left: the next grammar needs it too.
        """
        loop = asyncio.get_running_loop()
        if self._launch is None or self._is_over(self._launch):
            if loop.time() < self._not_before:
                raise _unavailable("the grammars' compiler did not start")
            self._launch = asyncio.create_task(self._start())
        return await asyncio.shield(self._launch)

    def _is_over(self, launch: asyncio.Task[asyncio.subprocess.Process]) -> bool:
        return launch.done() and (self._process is None or self._process.returncode is not None)

    async def _start(self) -> asyncio.subprocess.Process:
        """Start the process and wait until it has read all that trials need."""
        setup = await asyncio.to_thread(ForkingPickler.dumps, (self._prepare, self._limits))
        if self._stopped:
            raise _unavailable("the grammars' compiler was stopped")

        path = os.pathsep.join(filter(None, sys.path))
        number = next(self._numbers)
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                *ARGUMENTS,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=os.environ | ONE_THREAD | self._environ | {"PYTHONPATH": path},
            )
            async with asyncio.timeout(START_S):
                await _send(process, Command(number, bytes(setup)))
                await _answer(process, number)
        except (OSError, EOFError, TimeoutError) as error:
            await self._end()
            if not self._stopped:
                logger.error(
                    "the grammars' compiler did not start; its output is above", reason=str(error)
                )
            self._not_before = asyncio.get_running_loop().time() + START_PAUSE_S
            raise _unavailable("the grammars' compiler did not start") from None

        return process

    async def _end(self) -> None:
        """Kill the process and forget it; it keeps nothing that it would have to put away."""
        process, self._process = self._process, None
        if process is None:
            return

        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _unavailable(message: str) -> EngineUnavailable:
    return EngineUnavailable(message, retry_after=RETRY_AFTER_S)


def _write(process: asyncio.subprocess.Process, command: Command) -> None:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    process.stdin.write(encode(command))


async def _send(process: asyncio.subprocess.Process, command: Command) -> None:
    """Write a command; raises ConnectionError if the process is gone."""
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    _write(process, command)
    await process.stdin.drain()


async def _answer(process: asyncio.subprocess.Process, number: int) -> dict[str, Any]:
    """Return the answer to a command; raises EOFError if the process ends before it.

    Answers to commands that were given up are passed over.
    """
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    while line := await process.stdout.readline():
        answer: dict[str, Any] = json.loads(line)
        if answer["number"] == number:
            return answer

    raise EOFError
