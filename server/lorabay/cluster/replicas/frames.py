"""What goes over a connection from a replica to a front: a key first, then frames of messages.

A frame is the length of a pickle in four bytes, then the pickle: pairs of a request's number and a
message, or an empty list as a sign of life. Only who knows the front's key is read at all.
"""

from __future__ import annotations

import pickle
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.cluster.replicas.messages import Message

if TYPE_CHECKING:
    import asyncio

_LENGTH = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class FrontAddress:
    """Where a front hears replicas, and the key by which it knows them."""

    host: str
    port: int
    key: bytes

    @property
    def name(self) -> str:
        """What tells it from other fronts of the same replicas."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """Where the messages of one request go: to a front, under a number that it gave."""

    front: FrontAddress
    number: int


@dataclass(frozen=True, slots=True)
class Taken:
    """A replica has the request, and sends what comes of it."""


@dataclass(frozen=True, slots=True)
class Over:
    """Nothing follows."""


Sent = Taken | Message | Over
"""What a replica says of a request."""

Frame = list[tuple[int, Sent]]


def packed(frame: Frame) -> bytes:
    """Return a frame as it goes over the connection."""
    content = pickle.dumps(frame, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(content)) + content


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """Return the next frame; raises IncompleteReadError at the end of the connection."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    frame: Frame = pickle.loads(await reader.readexactly(length))  # noqa: S301
    return frame
