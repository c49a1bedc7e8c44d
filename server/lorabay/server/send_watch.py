"""Watches that a client takes what it is sent.

While an answer is made, whoever makes it holds an adapter in the engine and waits for the client:
only so long in all. Once the answer is complete, the rest in the connection's buffer costs memory
alone: a client that goes on taking it may be slow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PROGRESS_BYTES = 16_384
"""The least that a client takes of a complete answer in the time of the limit."""


class SendWatch:
    """Watches one connection, and calls `give_up` once its client has used up `timeout_s`."""

    def __init__(
        self, transport: asyncio.Transport, timeout_s: float, give_up: Callable[[], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._timeout_s = timeout_s
        self._give_up = give_up
        self._left_s = timeout_s
        self._paused_since: float | None = None
        self._unsent = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, *, paused: bool) -> None:
        """Note that an answer begins; `paused` if the buffer is full of a former one."""
        self.stop()
        self._left_s = self._timeout_s
        if paused:
            self.pause()

    def pause(self) -> None:
        """Note that the buffer is full, so whoever makes the answer has to wait."""
        self.stop()
        self._paused_since = self._loop.time()
        self._timer = self._loop.call_later(max(0.0, self._left_s), self._give_up)

    def resume(self) -> None:
        """Note that the buffer has room again."""
        if self._paused_since is None:
            return  # the answer was complete, and its end goes on being watched
        self._left_s -= self._loop.time() - self._paused_since
        self.stop()

    def end(self) -> None:
        """Note that the answer is complete, but for what the buffer still holds."""
        self.stop()
        self._unsent = self._transport.get_write_buffer_size()
        if self._unsent:
            self._timer = self._loop.call_later(self._timeout_s, self._look_again)

    def _look_again(self) -> None:
        taken = self._unsent - self._transport.get_write_buffer_size()
        if taken < min(self._unsent, PROGRESS_BYTES):
            self._give_up()
        else:
            self.end()

    def stop(self) -> None:
        """Watch nothing; idempotent."""
        self._paused_since = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
