"""Anthropic's messages as chats: all that they say reaches the chat, or is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from vllm.entrypoints.anthropic.protocol import (
    AnthropicCountTokensRequest,
    AnthropicMessagesRequest,
)
from vllm.entrypoints.anthropic.serving import AnthropicServingMessages
from vllm.exceptions import VLLMValidationError

from lorabay.serving.vllm.requests.message_requests import read_whole

HELLO = {"role": "user", "content": "Hello"}
TOOL = {"name": "weather", "input_schema": {"type": "object"}}
CALL = {"type": "tool_use", "id": "call_1", "name": "weather", "input": {}}


def chat(kind: Any = AnthropicMessagesRequest, **body: Any) -> Any:
    """The chat that vLLM makes of a message, through `read_whole`."""
    make = AnthropicServingMessages.to_chat_completion_request
    serving: Any = SimpleNamespace(to_chat_completion_request=make)
    read_whole(serving)
    if kind is AnthropicMessagesRequest:
        body = {"max_tokens": 5} | body
    return serving.to_chat_completion_request(kind(model="finance", **body))


@pytest.mark.parametrize("kind", [AnthropicMessagesRequest, AnthropicCountTokensRequest])
@pytest.mark.parametrize("content", ["The answer is (", [{"type": "text", "text": "Well,"}]])
def test_an_answer_goes_on_from_the_assistants_last_words(kind: Any, content: Any) -> None:
    """As Anthropic's API has it, for counting as for answering."""
    made = chat(kind, messages=[HELLO, {"role": "assistant", "content": content}])
    assert made.continue_final_message
    assert not made.add_generation_prompt


@pytest.mark.parametrize(
    "messages",
    [
        [HELLO],
        [HELLO, {"role": "assistant", "content": "Hi"}, HELLO],
        [HELLO, {"role": "assistant", "content": [CALL]}],
        [HELLO, {"role": "assistant", "content": [{"type": "text", "text": "See:"}, CALL]}],
        [HELLO, {"role": "assistant", "content": ""}],
    ],
)
def test_anything_else_is_answered_anew(messages: list[Any]) -> None:
    """A call of a tool, or no word at all, is not a beginning."""
    made = chat(messages=messages)
    assert not made.continue_final_message
    assert made.add_generation_prompt


@pytest.mark.parametrize("kind", ["document", "search_result", "web_search_result"])
def test_a_result_that_would_be_left_out_is_refused(kind: str) -> None:
    """The model would answer as if the tool had said nothing."""
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": kind}]}
    with pytest.raises(VLLMValidationError, match=kind) as refused:
        chat(messages=[HELLO, {"role": "user", "content": [result]}])
    assert refused.value.parameter == "messages"


def test_results_of_text_reach_the_chat() -> None:
    """As text alone, and as blocks."""
    for content in ("Rain", [{"type": "text", "text": "Rain"}]):
        result = {"type": "tool_result", "tool_use_id": "call_1", "content": content}
        made = chat(messages=[HELLO, {"role": "user", "content": [result]}])
        assert made.messages[-1]["role"] == "tool"
        assert made.messages[-1]["content"] == "Rain"


@pytest.mark.parametrize("messages", [[], [{"role": "user", "content": []}]])
def test_messages_without_content_are_refused(messages: list[Any]) -> None:
    """Nothing would be asked."""
    with pytest.raises(VLLMValidationError, match="no content"):
        chat(messages=messages)


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "weather"}])
@pytest.mark.parametrize("tools", [None, []])
def test_a_demanded_tool_must_be_there(choice: dict[str, str], tools: Any) -> None:
    """The answer would be a text, as if nothing had been demanded."""
    with pytest.raises(VLLMValidationError, match="tool_choice"):
        chat(messages=[HELLO], tools=tools, tool_choice=choice)
    with pytest.raises(VLLMValidationError, match="tool_choice"):
        chat(messages=[HELLO], tools=[TOOL], tool_choice={"type": "tool", "name": "other"})
    assert chat(messages=[HELLO], tools=[TOOL], tool_choice=choice).tools


@pytest.mark.parametrize("choice", [None, {"type": "auto"}, {"type": "none"}])
def test_a_free_choice_needs_no_tools(choice: Any) -> None:
    """It asks for none."""
    assert chat(messages=[HELLO], tool_choice=choice).messages


def test_a_model_without_messages_is_left_alone() -> None:
    """vLLM has no class for them where a model does not generate."""
    read_whole(None)
