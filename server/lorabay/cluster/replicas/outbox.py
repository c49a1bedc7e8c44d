"""How a replica answers fronts: over one connection to each, opened with its first request.

A connection that has nothing to carry is closed at its next sign of life.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lorabay.cluster.replicas.coalescing import BEAT_S, batches
from lorabay.cluster.replicas.frames import Over, Taken, packed
from lorabay.errors import EngineUnavailable

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine, Iterator

    from lorabay.cluster.replicas.frames import FrontAddress, ReplyTo, Sent

CONNECT_TIMEOUT_S = 5.0


class Outboxes:
    """The connections of a replica to all fronts that ask it."""

    def __init__(self, beat_s: float = BEAT_S, encryption: ssl.SSLContext | None = None) -> None:
        self._beat_s = beat_s
        self._encryption = encryption
        self._outboxes: dict[FrontAddress, Outbox] = {}
        self._connecting: dict[FrontAddress, asyncio.Task[Outbox]] = {}

    async def to(self, front: FrontAddress) -> Outbox:
        """Return the connection to a front; raises EngineUnavailable if there can be none.

        All that ask meanwhile share the attempt, and its failure. A front that cannot be reached
        holds up nobody else.
        """
        outbox = self._outboxes.get(front)
        if outbox is not None and outbox.is_open:
            return outbox

        connecting = self._connecting.get(front)
        if connecting is None:
            connecting = asyncio.create_task(self._connect(front))
            self._connecting[front] = connecting
        return await asyncio.shield(connecting)

    def answers(self) -> dict[str, int]:
        """Return how many requests of each front are being answered, by its name."""
        return {
            front.name: outbox.answers for front, outbox in self._outboxes.items() if outbox.answers
        }

    async def close(self) -> None:
        """Send what is left, and close all connections."""
        for outbox in list(self._outboxes.values()):
            await outbox.close()

    async def _connect(self, front: FrontAddress) -> Outbox:
        try:
            outbox = await self._connected(front)
        finally:
            del self._connecting[front]
        self._forget_closed()
        self._outboxes[front] = outbox
        return outbox

    async def _connected(self, front: FrontAddress) -> Outbox:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, writer = await asyncio.open_connection(
                    front.host, front.port, ssl=self._encryption
                )
        except OSError as error:  # also of TLS, or that it takes too long
            raise _gone() from error
        writer.write(front.key)
        return Outbox(writer, self._beat_s)

    def _forget_closed(self) -> None:
        self._outboxes = {front: one for front, one in self._outboxes.items() if one.is_open}


class Outbox:
    """One connection to one front."""

    def __init__(self, writer: asyncio.StreamWriter, beat_s: float) -> None:
        self.is_open = True
        self.answers = 0
        """Requests that are being answered."""
        self._writer = writer
        self._queue: asyncio.Queue[tuple[int, Sent] | None] = asyncio.Queue()
        self._sending = asyncio.create_task(self._send(beat_s))

    @contextmanager
    def answering(self, reply_to: ReplyTo) -> Iterator[Callable[[Sent], None]]:
        """Yield what sends a message of one request, and tell its end after the block.

        Sending raises EngineUnavailable once the front is gone.
        """
        number = reply_to.number
        self._post(number, Taken())
        self.answers += 1
        try:
            yield lambda sent: self._post(number, sent)
        finally:
            self.answers -= 1
            if self.is_open:
                self._post(number, Over())

    async def while_heard(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work whose outcome the front hears.

        Once the front is gone, cancels it and raises EngineUnavailable.
        """
        doing = asyncio.create_task(work)
        try:
            await asyncio.wait({doing, self._sending}, return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                raise _gone()
        finally:
            if not doing.done():
                doing.cancel()
                await asyncio.wait({doing})
        await doing

    async def close(self) -> None:
        """Send what is left, and close the connection; idempotent."""
        self._queue.put_nowait(None)
        await asyncio.wait({self._sending})

    def _post(self, number: int, sent: Sent) -> None:
        if not self.is_open:
            raise _gone()
        self._queue.put_nowait((number, sent))

    async def _send(self, beat_s: float) -> None:
        try:
            async for frame in batches(self._queue, beat_s=beat_s):
                if not frame and not self.answers and self._queue.empty():
                    break
                self._writer.write(packed(frame))
                await self._writer.drain()
        except OSError:  # the front has ended, or cannot be reached any more
            pass
        finally:
            self.is_open = False
            self._writer.close()


def _gone() -> EngineUnavailable:
    return EngineUnavailable("the front that asked cannot be reached", retry_after=1.0)
