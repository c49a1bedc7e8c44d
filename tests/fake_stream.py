"""An `AnswerStream` over any async generator of events; counts how often it was closed."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator

from lorabay.serving.engine import Usage

USAGE = Usage(prompt_tokens=5, generation_tokens=3)


class FakeStream:
    usage = USAGE

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        self._events = events
        self.closed = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._events

    async def aclose(self) -> None:
        self.closed += 1
        await self._events.aclose()


async def words(model: str) -> AsyncGenerator[bytes, None]:
    """Stream as an engine does: two pieces that name the model, and the end."""
    for word in ("Good", " day"):
        yield f"data: {json.dumps({'model': model, 'word': word})}\n\n".encode()
    yield b"data: [DONE]\n\n"
