"""A front's side of one request: what it hears from the replica, as the engine's seam has it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING

from lorabay.cluster.replicas.messages import (
    Begun,
    Counted,
    Died,
    Event,
    Failed,
    Message,
    PromptRead,
    Spent,
    Whole,
    received,
)
from lorabay.errors import EngineUnavailable
from lorabay.serving.engine import Answer, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lorabay.serving.engine import AnswerStream, Meter


class Conversation:
    """One request that a replica answers; it is the answer's stream, too.

    `batches` are the replica's messages. Closing it aborts the generation there.
    """

    def __init__(self, batches: AsyncGenerator[list[Message]], meter: Meter) -> None:
        self._batches = batches
        self._messages = _one_by_one(batches)
        self._meter = meter
        self._usage = Usage()
        meter.read = lambda: self._usage

    async def answer(self) -> Answer | AnswerStream:
        """Return the answer once it is whole, or has begun; raises the replica's LorabayError."""
        try:
            async for message in self._messages:
                match message:
                    case Whole():
                        return await self._whole(message)
                    case Begun():
                        return self
                    case _:
                        await self._hear(message)
        except BaseException:
            await self.aclose()
            raise
        raise EngineUnavailable("the replica ended without an answer")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the events of a stream that has begun."""
        async for message in self._messages:
            if isinstance(message, Event):
                yield message.content
            else:
                await self._hear(message)

    async def aclose(self) -> None:
        """Abort what still runs; idempotent."""
        await self._messages.aclose()
        await self._batches.aclose()

    @property
    def usage(self) -> Usage:
        """What the request has cost, as far as the replica has told."""
        return self._usage

    async def _whole(self, message: Whole) -> Answer:
        """Return a whole answer once the replica is done with it, so that nothing is cut off."""
        async for _ in self._messages:
            pass
        self._spent(message.answer.usage, message.sent_at)
        return replace(message.answer, usage=self._usage)

    async def _hear(self, message: Message) -> None:
        match message:
            case Counted():
                await self._meter.admit(message.prompt_tokens)
            case PromptRead():
                self._meter.was_read()
            case Spent():
                self._spent(message.usage, message.sent_at)
            case Failed():
                raise message.error
            case Died():
                self._meter.died(message.replica)
                raise message.error

    def _spent(self, usage: Usage, sent_at: float) -> None:
        self._usage = received(usage, sent_at, time.monotonic())


async def _one_by_one(batches: AsyncGenerator[list[Message]]) -> AsyncGenerator[Message]:
    async for batch in batches:
        for message in batch:
            yield message
