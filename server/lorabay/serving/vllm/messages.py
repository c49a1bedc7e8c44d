"""vLLM's messages of Anthropic's API, where the chat that they are made of does not end well.

vLLM reads each event of a streamed chat. One that reports a failure it takes for a broken event,
and the reason is lost; here it passes unread, as the chat made it. Of a whole chat it reads the
arguments of each tool call, and fails on a call that was cut short; here that is text. Knows
nothing of requests.
"""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from lorabay.serving.vllm.stream import ERROR_EVENT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


def keep_failures(serving: Any) -> None:
    """Have `serving`, vLLM's class for messages, pass on what a chat did not end well with.

    None, which stands for a model that does not generate, is left alone.
    """
    if serving is None:
        return

    convert_whole = serving.messages_full_converter
    serving.messages_full_converter = lambda chat: convert_whole(_without_cut_calls(chat))
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


def _without_cut_calls(chat: Any) -> Any:
    """Return a chat's answer in which a tool call without whole arguments is text.

    It must not run, and what it holds shows why the answer ended.
    """
    for choice in chat.choices:
        message = choice.message
        cut = [call for call in message.tool_calls if not _is_json(call.function.arguments)]
        if cut:
            arguments = "".join(call.function.arguments for call in cut)
            message.content = (message.content or "") + arguments
            message.tool_calls = [call for call in message.tool_calls if call not in cut]
    return chat


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


async def _until_failure(
    events: AsyncGenerator[str, None], failures: list[str]
) -> AsyncGenerator[str, None]:
    """Yield events up to one that reports a failure, which is put into `failures`."""
    async for event in events:
        if event.startswith(ERROR_EVENT):
            failures.append(event)
            return
        yield event
