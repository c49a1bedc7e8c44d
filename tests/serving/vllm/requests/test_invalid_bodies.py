"""pydantic's errors of a body, as one sentence about one field."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.entrypoints.openai.responses.protocol import ResponsesRequest

from lorabay.errors import InvalidRequest, LorabayError
from lorabay.serving.engine import CHAT
from lorabay.serving.vllm.engine import SERVING_METHODS
from lorabay.serving.vllm.errors import EngineFailure, from_exception


def refusal(kind: type[BaseModel], body: object) -> LorabayError:
    """Return the error for a body that vLLM's own request type refuses."""
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(body)
    return from_exception(caught.value)


MESSAGES = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"messages": "Hello"}, "messages"),
        ({}, "messages"),
        ({"messages": MESSAGES, "max_tokens": "many"}, "max_tokens"),
        ({"messages": MESSAGES, "temperature": []}, "temperature"),
        ({"messages": MESSAGES, "stop": {"a": 1}}, "stop"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages"),
        ({"messages": MESSAGES, "tools": [{"type": "function"}]}, "tools"),
    ],
)
def test_a_wrong_field_is_named(body: dict[str, object], field: str) -> None:
    """A body that fails validation is a 400 in one line that says where."""
    error = refusal(ChatCompletionRequest, {"model": "tiny", **body})
    assert isinstance(error, InvalidRequest)
    assert error.param == field
    assert error.message.startswith(field)
    assert "\n" not in error.message


@pytest.mark.parametrize(
    "body",
    [
        {"messages": MESSAGES, "stream": False, "stream_options": {"include_usage": True}},
        {"messages": MESSAGES, "top_logprobs": 3, "logprobs": False},
    ],
)
def test_fields_that_do_not_go_together_are_told(body: dict[str, object]) -> None:
    """A rule over several fields is a 400 with vLLM's sentence, without a preamble."""
    try:
        ChatCompletionRequest.model_validate({"model": "tiny", **body})
    except EngineFailure as failure:
        error = from_exception(failure)
        assert error.status == 400
        assert not error.message.startswith("Value error")
    else:
        pytest.fail("vLLM takes this body")


def test_a_body_of_countless_mistakes_is_told_in_one_sentence() -> None:
    """Errors are counted before any is made: each would take a kilobyte."""
    kind = TypeAdapter(list[int | float | dict[str, int]])
    with pytest.raises(ValidationError) as caught:
        kind.validate_python([None] * 10_000)
    error = from_exception(caught.value)
    assert error.status == 400
    assert "30000 values" in error.message


PARTS = [{"type": "text"}]
CLOSEST: dict[str, tuple[type[BaseModel], dict[str, Any], str]] = {
    "a message of a user": (
        ChatCompletionRequest,
        {"messages": [{"role": "user", "content": 7}]},
        "messages.0.content: ",
    ),
    "a message of a tool": (
        ChatCompletionRequest,
        {"messages": [{"role": "tool", "content": "x", "tool_call_id": 7}]},
        "messages.0.tool_call_id: ",
    ),
    "a tool of another API": (
        ChatCompletionRequest,
        {"messages": MESSAGES, "tools": [{"type": "function", "name": "f"}]},
        "tools.0.function: ",
    ),
    "a chat's tool": (
        ResponsesRequest,
        {"input": "x", "tools": [{"type": "function", "function": {"name": "f"}}]},
        "tools.0.",
    ),
    "a call without its name": (
        ResponsesRequest,
        {"input": [{"type": "function_call", "call_id": "c", "arguments": "{}"}]},
        "input.0.name: ",
    ),
}


@pytest.mark.parametrize("name", CLOSEST)
def test_the_branch_that_was_meant_is_told(name: str) -> None:
    """Of a union, what the value says it is; names of branches are no places."""
    kind, body, beginning = CLOSEST[name]
    error = refusal(kind, {"model": "tiny", **body})
    assert error.message.startswith(beginning), error.message
    assert "Param" not in error.message


def test_a_list_that_is_read_late_is_one_of_the_messages() -> None:
    """vLLM no longer tells of which field it is."""
    body = {"messages": [{"role": "user", "content": [{"type": "text"}]}]}
    request = SERVING_METHODS[CHAT].body.validate(body, model="tiny")
    with pytest.raises(ValidationError) as caught:
        list(request.messages[0]["content"])
    error = from_exception(caught.value)
    assert (error.status, error.param) == (400, "messages")
    assert error.message.startswith("a list in `messages`, at 0.text: ")
