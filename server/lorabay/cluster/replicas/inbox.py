"""Where a front hears what replicas answer: one connection a replica carries all its requests.

A trip between processes costs about as much for one token as for those of all requests, so what a
step of an engine makes travels together. A replica whose connection breaks is gone, and so is one
that has said nothing for long: a host that is cut off, or a hang, is only silent, and a cluster
takes a minute to give it up.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections import defaultdict
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from lorabay.cluster.replicas.frames import FrontAddress, Over, ReplyTo, Taken, read_frame
from lorabay.cluster.replicas.messages import Died, Failed
from lorabay.errors import EngineUnavailable

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator

    from lorabay.cluster.replicas.frames import Frame
    from lorabay.cluster.replicas.messages import Message
    from lorabay.errors import LorabayError

SILENT_S = 20.0
"""Seconds without a frame after which a replica is taken for gone: four signs of life."""
RETRY_AFTER_S = 2.0
"""When a client should ask again whose replica is gone."""
KEY_BYTES = 32
KEY_TIMEOUT_S = 5.0
"""Seconds in which whoever connects must have shown the key."""


class Mailbox:
    """What one request is answered, in batches as they arrive."""

    def __init__(self, reply_to: ReplyTo) -> None:
        self.reply_to = reply_to
        self.ended = asyncio.Event()
        """Set once nothing more comes."""
        self._batches: asyncio.Queue[list[Message] | None] = asyncio.Queue()

    def put(self, batch: list[Message]) -> None:
        """Add what has arrived."""
        self._batches.put_nowait(batch)

    def end(self) -> None:
        """Say that nothing follows."""
        self.ended.set()
        self._batches.put_nowait(None)

    def fail(self, error: LorabayError) -> None:
        """End with a failure, after what has arrived."""
        self.end_with(Failed(error))

    def end_with(self, message: Message) -> None:
        """End with a message, after what has arrived."""
        self.put([message])
        self.end()

    async def __aiter__(self) -> AsyncIterator[list[Message]]:
        """Yield what arrives until the end."""
        while (batch := await self._batches.get()) is not None:
            yield batch


class Inbox:
    """The mailboxes of a front's requests, and the connections that fill them."""

    def __init__(
        self, silent_s: float = SILENT_S, encryption: ssl.SSLContext | None = None
    ) -> None:
        self._silent_s = silent_s
        self._encryption = encryption
        self._numbers = count()
        self._replicas = count()
        self._mailboxes: dict[int, Mailbox] = {}
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.StreamWriter, asyncio.Event] = {}
        self._address = FrontAddress("", 0, secrets.token_bytes(KEY_BYTES))

    async def open(self, host: str) -> None:
        """Listen at an address of this machine, on a free port."""
        self._server = await asyncio.start_server(self._connected, host, 0, ssl=self._encryption)
        port = self._server.sockets[0].getsockname()[1]
        self._address = FrontAddress(host, port, self._address.key)

    async def close(self) -> None:
        """Hear nobody any more; idempotent."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for writer, ended in list(self._connections.items()):
            writer.close()
            await ended.wait()

    @contextmanager
    def mailbox(self) -> Iterator[Mailbox]:
        """Have a mailbox while the block lasts; what comes after it is dropped."""
        number = next(self._numbers)
        self._mailboxes[number] = Mailbox(ReplyTo(self._address, number))
        try:
            yield self._mailboxes[number]
        finally:
            del self._mailboxes[number]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended = self._connections[writer] = asyncio.Event()
        try:
            if await self._knows_key(reader):
                await self._receive(reader)
        finally:
            del self._connections[writer]
            writer.close()
            ended.set()

    async def _knows_key(self, reader: asyncio.StreamReader) -> bool:
        with suppress(TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            async with asyncio.timeout(KEY_TIMEOUT_S):
                return hmac.compare_digest(await reader.readexactly(KEY_BYTES), self._address.key)
        return False

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        """Sort what one replica sends, until it is gone; its requests fail then."""
        under_way: set[int] = set()
        replica = next(self._replicas)
        why, has_died = "is gone", True
        try:
            while True:
                async with asyncio.timeout(self._silent_s):
                    frame = await read_frame(reader)
                self._sort(frame, under_way, replica)
        except TimeoutError:
            # An engine that hangs does not silence its replica: this is a host that is cut off.
            why, has_died = f"has been silent for {self._silent_s:g} s", False
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for number in under_way & self._mailboxes.keys():
                error = gone(why)
                self._mailboxes[number].end_with(
                    Died(error, replica) if has_died else Failed(error)
                )

    def _sort(self, frame: Frame, under_way: set[int], replica: int) -> None:
        """Put messages into their mailboxes, and keep the set of requests that are not over."""
        batches: defaultdict[int, list[Message]] = defaultdict(list)
        for number, sent in frame:
            match sent:
                case Taken():
                    under_way.add(number)
                case Over():
                    under_way.discard(number)
                case Died():
                    batches[number].append(replace(sent, replica=replica))
                case _:
                    batches[number].append(sent)

        for number, batch in batches.items():
            if number in self._mailboxes:
                self._mailboxes[number].put(batch)
        for number, sent in frame:
            if isinstance(sent, Over) and number in self._mailboxes:
                self._mailboxes[number].end()


def gone(why: str = "is gone") -> EngineUnavailable:
    """Return what the client of a request hears whose replica is gone."""
    return EngineUnavailable(
        f"the replica that had this request {why}; ask again", retry_after=RETRY_AFTER_S
    )
