"""vLLM's messages: what a chat becomes, and what becomes of one that does not end well."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any

import pytest
from vllm.entrypoints.anthropic.protocol import AnthropicMessagesRequest
from vllm.entrypoints.anthropic.serving import AnthropicServingMessages
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionResponse
from vllm.entrypoints.serve import create_error_response
from vllm.exceptions import VLLMValidationError

from lorabay.errors import EngineUnavailable, InvalidRequest, LorabayError
from lorabay.serving.vllm.messages import keep_failures
from lorabay.serving.vllm.stream import RequestContext, VllmStream


def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return event({"choices": [choice], "usage": USAGE})


def event(content: dict[str, Any]) -> str:
    whole = {"id": "chatcmpl-1", "created": 1, "model": "finance"} | content
    return f"data: {json.dumps(whole)}\n\n"


USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
ROLE, WORD = chunk({"role": "assistant", "content": ""}), chunk({"content": "Good"})
END, USED, DONE = chunk({}, "stop"), event({"choices": [], "usage": USAGE}), "data: [DONE]\n\n"
FAILED = "data: " + json.dumps(
    create_error_response(VLLMValidationError("no such tool", parameter="tools")).model_dump()
)


class Chat:
    """vLLM's class for messages over a chat that streams `steps`; notes that it was closed."""

    def __init__(self, *steps: str | Exception) -> None:
        self._steps = steps
        self.closed = False
        self.serving: Any = SimpleNamespace()
        self.serving.message_stream_converter = lambda chat: (
            AnthropicServingMessages.message_stream_converter(self.serving, chat)
        )
        self.serving.messages_full_converter = lambda chat: (
            AnthropicServingMessages.messages_full_converter(self.serving, chat)
        )
        keep_failures(self.serving)

    def stream(self, check_engine: Any = lambda: None) -> VllmStream:
        events = self.serving.message_stream_converter(self._events())
        return VllmStream(events, RequestContext.new("r-1"), check_engine)

    async def _events(self) -> AsyncGenerator[str, None]:
        try:
            for step in self._steps:
                if isinstance(step, Exception):
                    raise step
                yield step
        finally:
            self.closed = True


async def test_a_chat_becomes_a_message() -> None:
    """Events have Anthropic's names in their order, and the usage of the chat."""
    chat = Chat(ROLE, WORD, END, USED, DONE)
    events = [event.decode() async for event in chat.stream()]
    assert [event.partition("\n")[0].removeprefix("event: ") for event in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    delta = json.loads(events[4].partition("data: ")[2])
    assert delta["delta"]["stop_reason"] == "end_turn"
    assert delta["usage"]["output_tokens"] == 2
    assert chat.closed


@pytest.mark.parametrize("before", [(), (ROLE, WORD)])
async def test_a_failure_of_the_chat_keeps_what_it_says(before: tuple[str, ...]) -> None:
    """Before the first event, it still has a status of its own; later, its reason."""
    chat = Chat(*before, FAILED, DONE)
    with pytest.raises(InvalidRequest, match="no such tool") as failure:
        _ = [event async for event in chat.stream()]
    assert (failure.value.status, failure.value.param) == (400, "tools")
    assert chat.closed


async def test_a_broken_chat_tells_no_internals() -> None:
    """A failure while vLLM makes a message of it is an internal error, or the engine's death."""

    def engine_is_gone() -> None:
        raise EngineUnavailable("the engine stopped", retry_after=5)

    for check, expected in ((lambda: None, LorabayError), (engine_is_gone, EngineUnavailable)):
        chat = Chat(ROLE, RuntimeError("secret detail"))
        with pytest.raises(expected) as failure:
            _ = [event async for event in chat.stream(check)]
        assert "secret" not in failure.value.message


async def test_a_client_that_leaves_closes_the_chat() -> None:
    """At once, not when the generator happens to be collected."""
    chat = Chat(ROLE, WORD, END, USED, DONE)
    stream = chat.stream()
    assert await anext(aiter(stream))
    await stream.aclose()
    assert chat.closed


def test_a_model_without_messages_is_left_alone() -> None:
    """vLLM has no class for them where a model does not generate."""
    keep_failures(None)


def test_a_message_is_read_as_a_chat() -> None:
    """The system prompt, the stop sequences, the tools and their choice reach the chat."""
    request = AnthropicMessagesRequest(
        model="finance",
        max_tokens=5,
        system="Be kind.",
        messages=[{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        stop_sequences=["\n"],
        tools=[{"name": "f", "input_schema": {"type": "object"}}],
        tool_choice={"type": "any"},
    )
    chat = AnthropicServingMessages.to_chat_completion_request(request)
    assert [message["role"] for message in chat.messages] == ["system", "user"]
    assert (chat.stop, chat.tool_choice, chat.max_completion_tokens) == (["\n"], "required", 5)


@pytest.mark.parametrize(
    ("arguments", "finish_reason", "kinds", "stop_reason"),
    [
        ('{"city": "Rome"}', "stop", ["tool_use"], "tool_use"),
        ('{"city": "Ro', "length", ["text"], "max_tokens"),
        ('{"city": "Ro', "stop", ["text"], "end_turn"),
    ],
)
def test_a_call_that_was_cut_short_is_no_call(
    arguments: str, finish_reason: str, kinds: list[str], stop_reason: str
) -> None:
    """vLLM would fail on it; it becomes the text that it is, and the reason of the end stays."""
    call = {"id": "call_1", "function": {"name": "weather", "arguments": arguments}}
    message = {"role": "assistant", "content": "", "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    answer = ChatCompletionResponse(model="finance", choices=[choice], usage=USAGE)
    converted = Chat().serving.messages_full_converter(answer)
    assert [block.type for block in converted.content] == kinds
    assert converted.stop_reason == stop_reason
    assert converted.usage.output_tokens == 2
