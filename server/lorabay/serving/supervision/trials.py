"""Trials of versions: each is alone in a new engine, and asked for one token or one vector.

A trial decides whether a version kills the engine, whatever requests were in it when that died. It
happens before requests reach the new engine. Serial: one version at a time. Knows nothing of how
the end of an engine is noticed; whoever does asks which trial that has interrupted.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from lorabay.errors import CallNotServed, EngineUnavailable, LorabayError
from lorabay.serving.engine import COMPLETIONS, POOLING, Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.catalog.versions import Version
    from lorabay.serving.engine import Body, Call, Engine
    from lorabay.serving.supervision.quarantine import Quarantine

logger = structlog.get_logger(__name__)

AT_MOST = 8
"""Versions that are tried out in one engine: clients wait meanwhile. The others are tried out when
they were there at another death."""

LIMIT_S = 30.0
"""Longest time that one trial may take."""

QUESTIONS: Mapping[Call, Body] = {
    COMPLETIONS: {"prompt": "Hello", "max_tokens": 1, "temperature": 0.0},
    POOLING: {"input": "Hello"},
}
"""What a version is asked; every base answers one of these calls."""


class Trials:
    """Trials in the engine behind the supervisor, of the versions that `quarantine` doubts."""

    def __init__(self, engine: Engine, quarantine: Quarantine) -> None:
        self._engine = engine
        self._quarantine = quarantine
        self._under_way: Version | None = None

    async def run(self) -> None:
        """Try out the versions in doubt; returns early when the engine dies."""
        for version in self._quarantine.in_doubt()[:AT_MOST]:
            self._under_way = version
            try:
                await self._try(version)
            except EngineUnavailable:
                return  # `interrupted` tells which version the engine died on
            self._under_way = None

    def interrupted(self) -> Version | None:
        """Return the version whose trial the engine did not survive, once."""
        version, self._under_way = self._under_way, None
        return version

    async def _try(self, version: Version) -> None:
        """Find out whether the engine answers with a version; raises EngineUnavailable if it dies.

        A version that cannot be tried out is let be: its next load finds a refusal again.
        """
        reason = await self._failure(version)
        self._engine.check()
        self._under_way = None

        if reason is None:
            self._quarantine.proved(version)
            logger.info("tried out", adapter=version.adapter, version=version.id)
        else:
            self._quarantine.trust(version)
            logger.warning("not tried out", adapter=version.adapter, reason=reason)

        # It is loaded again when it is asked for, and counted then.
        await self._engine.unload(version)

    async def _failure(self, version: Version) -> str | None:
        """Return why the engine computes nothing with a version; None if it does."""
        call = COMPLETIONS if self._answers(COMPLETIONS) else POOLING
        question = QUESTIONS[call] | {"model": version.id}
        try:
            async with asyncio.timeout(LIMIT_S):
                await self._engine.load(version)
                answer = await self._engine.run(call, question, version, request_id="trial")
        except TimeoutError:
            return f"no answer in {LIMIT_S:g} s"
        except LorabayError as error:
            return error.message

        if isinstance(answer, Answer) and (answer.usage.generation_tokens or call.pools):
            return None
        return "it answered without a token"

    def _answers(self, call: Call) -> bool:
        try:
            self._engine.check_call(call)
        except CallNotServed:
            return False
        return True
