"""vLLM's messages of Anthropic's API, whose failures keep what they say.

vLLM makes streamed messages of a streamed chat, and reads each event of it. One that reports a
failure it takes for a broken event, and the reason is lost. Here such an event passes unread, as
the chat made it. Knows nothing of requests.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from lorabay.serving.vllm.stream import ERROR_EVENT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


def keep_failures(serving: Any) -> None:
    """Have `serving`, vLLM's class for messages, pass on the events of failures as they are.

    None, which stands for a model that does not generate, is left alone.
    """
    if serving is None:
        return

    convert = serving.message_stream_converter

    async def converted(chat: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
        failures: list[str] = []
        # Closed by name: what a generator iterates over ends only when it is collected.
        async with (
            aclosing(chat),
            aclosing(_until_failure(chat, failures)) as healthy,
            aclosing(convert(healthy)) as events,
        ):
            async for event in events:
                yield event
        for failure in failures:
            yield failure

    serving.message_stream_converter = converted


async def _until_failure(
    events: AsyncGenerator[str, None], failures: list[str]
) -> AsyncGenerator[str, None]:
    """Yield events up to one that reports a failure, which is put into `failures`."""
    async for event in events:
        if event.startswith(ERROR_EVENT):
            failures.append(event)
            return
        yield event
