"""How a replica answers fronts: over one connection to each, opened with its first request.

A connection that has nothing to carry is closed at its next sign of life.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from lorabay.cluster.replicas.coalescing import BEAT_S, batches
from lorabay.cluster.replicas.frames import Over, Taken, packed
from lorabay.errors import EngineUnavailable

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from lorabay.cluster.replicas.frames import FrontAddress, ReplyTo, Sent

CONNECT_TIMEOUT_S = 5.0


class Outboxes:
    """The connections of a replica to all fronts that ask it."""

    def __init__(self, beat_s: float = BEAT_S, encryption: ssl.SSLContext | None = None) -> None:
        self._beat_s = beat_s
        self._encryption = encryption
        self._outboxes: dict[FrontAddress, Outbox] = {}
        self._connecting: WeakValueDictionary[FrontAddress, asyncio.Lock] = WeakValueDictionary()

    async def to(self, front: FrontAddress) -> Outbox:
        """Return the connection to a front; raises EngineUnavailable if there can be none.

        A front that cannot be reached holds up nobody else.
        """
        lock = self._connecting.setdefault(front, asyncio.Lock())
        async with lock:
            outbox = self._outboxes.get(front)
            if outbox is None or not outbox.is_open:
                outbox = await self._connected(front)
                self._forget_closed()
                self._outboxes[front] = outbox
        return outbox

    def answers(self) -> dict[str, int]:
        """Return how many requests of each front are being answered, by its name."""
        return {
            front.name: outbox.answers for front, outbox in self._outboxes.items() if outbox.answers
        }

    async def close(self) -> None:
        """Send what is left, and close all connections."""
        for outbox in list(self._outboxes.values()):
            await outbox.close()

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
                if not frame and not self.answers:
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
