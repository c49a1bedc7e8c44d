"""A connection without a network: a test is its client, and decides when that one reads."""

from __future__ import annotations

import asyncio
from typing import Any


class FakeTransport(asyncio.Transport):
    """What is written goes to `received` while the client `reads`, else it stays in the buffer."""

    def __init__(self, *, reads: bool = True) -> None:
        super().__init__()
        self.protocol: Any = None
        self.reads = reads
        self.received = b""
        self.lost = False
        self.is_paused = False
        self._buffer = b""
        self._high = 65_536
        self._low = 16_384
        self._write_paused = False
        self._closing = False

    def connect(self, protocol: asyncio.Protocol) -> None:
        """Begin the connection."""
        self.protocol = protocol
        protocol.connection_made(self)

    def send(self, data: bytes) -> None:
        """Send as the client."""
        if not self._closing:
            self.protocol.data_received(data)

    def leave(self) -> None:
        """Close the connection as the client, if the server looks at what it sends."""
        assert not self.is_paused
        self.abort()

    def take(self, count: int) -> None:
        """Read so many bytes as the client."""
        self.received += self._buffer[:count]
        self._buffer = self._buffer[count:]
        if self._write_paused and len(self._buffer) <= self._low:
            self._write_paused = False
            self.protocol.resume_writing()
        if self._closing and not self._buffer:
            self._lose()

    # What the protocol calls

    def write(self, data: Any) -> None:
        self._buffer += bytes(data)
        if self.reads:
            self.take(len(self._buffer))
        elif len(self._buffer) > self._high and not self._write_paused:
            self._write_paused = True
            self.protocol.pause_writing()

    def close(self) -> None:
        self._closing = True
        if not self._buffer:
            self._lose()

    def abort(self) -> None:
        self._closing = True
        self._lose()

    def _lose(self) -> None:
        if not self.lost:
            self.lost = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = high if high is not None else self._high
        self._low = low if low is not None else self._high // 4

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False
