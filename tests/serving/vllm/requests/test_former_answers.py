"""A former answer that is sent back to the Responses API is read as a whole."""

from __future__ import annotations

from typing import Any

import pytest
from vllm.entrypoints.openai.responses.utils import construct_input_messages

from lorabay.serving.engine import RESPONSES, Body
from tests.serving.vllm.requests.test_asked import HELLO, validated


def text(part: str, kind: str = "output_text") -> dict[str, Any]:
    return {"type": kind, "text": part}


ANSWERED = {
    "as it was answered": {
        "type": "message",
        "id": "msg_1",
        "status": "completed",
        "role": "assistant",
        "content": [text("Good ") | {"annotations": []}, text("day") | {"annotations": []}],
    },
    "without a type": {"role": "assistant", "content": [text("Good day")]},
    "without a type, in parts": {
        "role": "assistant",
        "id": "m",
        "content": [text("Good "), text("day")],
    },
    "with nulls": {
        "type": "message",
        "id": None,
        "status": None,
        "role": "assistant",
        "content": [text("Good day") | {"logprobs": None, "annotations": None}],
    },
    "as text": {"role": "assistant", "content": "Good day"},
    "as input": {"role": "assistant", "content": [text("Good day", "input_text")]},
    "as a refusal": {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "refusal", "refusal": "Good day"}],
    },
}


@pytest.mark.parametrize("name", ANSWERED)
def test_a_former_answer_is_read_as_a_whole(name: str) -> None:
    """However a client sends it back, every part of it reaches the conversation."""
    request = validated(RESPONSES, {"input": [HELLO, ANSWERED[name], HELLO]})
    messages = construct_input_messages(request_input=request.input)
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[1]["content"] == "Good day"


def test_former_thoughts_are_read_as_a_whole() -> None:
    """In one message with the answer that they led to."""
    thoughts = {
        "type": "reasoning",
        "summary": [],
        "content": [text("Rain", "reasoning_text"), text(" again", "reasoning_text")],
        "encrypted_content": None,
        "status": None,
    }
    request = validated(RESPONSES, {"input": [HELLO, thoughts, ANSWERED["without a type"]]})
    _, answer = construct_input_messages(request_input=request.input)
    assert (answer["reasoning"], answer["content"]) == ("Rain again", "Good day")


def test_an_answer_that_is_to_go_on_still_does() -> None:
    """Its status is kept where its parts become one."""
    begun = ANSWERED["as it was answered"] | {"status": "incomplete"}
    request = validated(RESPONSES, {"input": [HELLO, begun]})
    params = request.build_chat_params(None, "auto")
    assert params.chat_template_kwargs["continue_final_message"] is True


def test_a_body_is_not_changed() -> None:
    """Whoever holds it sees what the client sent."""
    body: Body = {"input": [dict(ANSWERED["with nulls"])], "tools": [], "n": None}
    before = repr(body)
    validated(RESPONSES, body)
    assert repr(body) == before
