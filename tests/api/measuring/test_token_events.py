"""Which events of a stream are tokens, as vLLM's serving classes write them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lorabay.api.measuring.token_events import carries_token
from lorabay.serving.engine import CHAT, COMPLETIONS, MESSAGES, RESPONSES, TOKENIZE, Call


def chunk(**delta: Any) -> bytes:
    """Return a chat event as vLLM writes it, compact."""
    finish = delta.pop("finish_reason", None)
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice]})


def event(content: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(content, separators=(",", ":")).encode() + b"\n\n"


def typed(kind: str) -> bytes:
    return f'event: {kind}\ndata: {{"type":"{kind}"}}\n\n'.encode()


TOOL = [{"index": 0, "function": {"name": "look_up", "arguments": ""}}]
USAGE = event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5}})
TRICK = '"choices":[] data: [DONE] "delta":{"role":'

CASES: dict[str, tuple[Call, bytes, bool]] = {
    "the role alone": (CHAT, chunk(role="assistant", content=""), False),
    "the role and nothing": (CHAT, chunk(role="assistant", content=None), False),
    "the role and a word": (CHAT, chunk(role="assistant", content="Good"), True),
    "the role and a thought": (CHAT, chunk(role="assistant", reasoning="Hm"), True),
    "the role and a tool": (CHAT, chunk(role="assistant", tool_calls=TOOL), True),
    "the role and an end": (CHAT, chunk(role="assistant", finish_reason="stop"), True),
    "a word": (CHAT, chunk(content=" day"), True),
    "a part of a letter": (CHAT, chunk(content=""), True),
    "an end that is not shown": (CHAT, chunk(finish_reason="stop"), True),
    "text that looks like the others": (CHAT, chunk(content=TRICK), True),
    "a role that cannot be read": (CHAT, b'data: {"delta":{"role":\n\n', True),
    "a count of tokens": (CHAT, USAGE, False),
    "the mark of the end": (CHAT, b"data: [DONE]\n\n", False),
    "a completion's word": (COMPLETIONS, event({"choices": [{"text": " day"}]}), True),
    "a completion's count": (COMPLETIONS, USAGE, False),
    "a completion's end": (COMPLETIONS, b"data: [DONE]\n\n", False),
    "a response that is announced": (RESPONSES, typed("response.created"), False),
    "a response in progress": (RESPONSES, typed("response.in_progress"), False),
    "an item that is announced": (RESPONSES, typed("response.output_item.added"), False),
    "a response's word": (RESPONSES, typed("response.output_text.delta"), True),
    "a response's thought": (RESPONSES, typed("response.reasoning_text.delta"), True),
    "arguments of a tool": (RESPONSES, typed("response.function_call_arguments.delta"), True),
    "a text that is done": (RESPONSES, typed("response.output_text.done"), False),
    "a response that is done": (RESPONSES, typed("response.completed"), False),
    "a message that is announced": (MESSAGES, typed("message_start"), False),
    "a block that is announced": (MESSAGES, typed("content_block_start"), False),
    "a message's word": (MESSAGES, typed("content_block_delta"), True),
    "a block that is done": (MESSAGES, typed("content_block_stop"), False),
    "why a message ends": (MESSAGES, typed("message_delta"), False),
    "a message that is done": (MESSAGES, typed("message_stop"), False),
    "text of the tokeniser": (TOKENIZE, b"data: 1\n\n", False),
}


@pytest.mark.parametrize("name", CASES)
def test_an_event_is_a_token_or_is_not(name: str) -> None:
    """Announcements, roles, counts and ends are none, whatever a model writes."""
    call, content, expected = CASES[name]
    assert carries_token(call, content) is expected
