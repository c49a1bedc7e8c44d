"""A streamed answer whose end somebody wants to hear of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from lorabay.serving.engine import AnswerStream, Usage


class WatchedStream:
    """An `AnswerStream` over another one.

    `ended` is called when the stream has run to its end, with True, and when it is closed, with
    False: after a failure, or because nobody reads on.
    """

    def __init__(self, stream: AnswerStream, ended: Callable[[bool], None]) -> None:
        self._stream = stream
        self._events: AsyncIterator[bytes] | None = None
        self._ended = ended

    def __aiter__(self) -> Self:
        self._events = aiter(self._stream)
        return self

    async def __anext__(self) -> bytes:
        """Return the next event; raises what the stream raises."""
        if self._events is None:
            raise TypeError("an answer is read by `async for`")

        try:
            return await anext(self._events)
        except StopAsyncIteration:
            self._ended(True)
            raise

    async def aclose(self) -> None:
        """Close the stream; idempotent."""
        try:
            await self._stream.aclose()
        finally:
            self._ended(False)

    @property
    def usage(self) -> Usage:
        """Tokens that the request has cost so far."""
        return self._stream.usage
