"""The messages of a chat: what is missing, and what no template would show."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, strategies as st

from lorabay.api.request.conversation import SPEAKERS, check_conversation
from lorabay.errors import InvalidRequest
from lorabay.serving.engine import CALLS, CHAT, MESSAGES, TOKENIZE, Call
from tests.api.conftest import Api
from tests.api.request.test_json_size import JSON

HELLO = {"role": "user", "content": "Hello"}
CALLED = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a former call of a function": (
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
        "`tool_calls`",
    ),
    "a beginning of Mistral's": (
        {"role": "assistant", "content": "Yes", "prefix": True},
        "`continue_final_message`",
    ),
    "a beginning of Kimi's": (
        {"role": "assistant", "content": "Yes", "partial": True},
        "`continue_final_message`",
    ),
    "a message without content": ({"role": "user"}, "content` is missing"),
    "content that is null": ({"role": "system", "content": None}, "content` is missing"),
    "a result of nothing": ({"role": "tool", "tool_call_id": "call_1"}, "content` is missing"),
}


@pytest.mark.parametrize("call", [CHAT, TOKENIZE], ids=lambda call: call.name)
@pytest.mark.parametrize("name", REFUSED)
async def test_what_would_be_passed_over_is_refused(api: Api, name: str, call: Call) -> None:
    """A 400 names the message and what to send; the engine is not asked."""
    message, right = REFUSED[name]
    answer = await api.http.post(call.path, json={"model": "finance", "messages": [HELLO, message]})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "messages")
    assert "messages.1" in error["message"]
    assert right in error["message"]
    assert not api.engine.asked


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [HELLO, {"role": "assistant", "content": None, "tool_calls": [CALLED]}]},
        {"messages": [{"role": "assistant", "content": "Hi", "function_call": None}]},
        {"messages": [{"role": "assistant", "content": "Hi", "prefix": False}]},
        {
            "messages": [{"role": "assistant", "content": "Hi", "prefix": True}],
            "continue_final_message": True,
        },
        {"messages": [{"role": "tool", "content": "", "tool_call_id": "call_1"}]},
        {"messages": [{"role": "user", "content": []}]},
        {"messages": "Hello"},
        {"messages": None},
        {},
    ],
)
def test_what_is_read_passes(body: dict[str, Any]) -> None:
    """An assistant may say nothing beside its calls, and empty content is content."""
    check_conversation(CHAT, {"model": "finance"} | body)


def test_anthropics_messages_are_left_to_their_own_type() -> None:
    """It takes no message without content, and a last one of the assistant goes on anyway."""
    check_conversation(MESSAGES, {"messages": [{"role": "user"}]})


@given(
    st.sampled_from(CALLS),
    st.lists(
        st.dictionaries(
            st.sampled_from(["role", "content", "prefix", "partial", "function_call"]),
            st.sampled_from(sorted(SPEAKERS)) | JSON,
        )
        | JSON
    ),
)
def test_no_conversation_breaks_the_check(call: Call, messages: list[Any]) -> None:
    """Any JSON passes or is an InvalidRequest."""
    with suppress(InvalidRequest):
        check_conversation(call, {"messages": messages})
