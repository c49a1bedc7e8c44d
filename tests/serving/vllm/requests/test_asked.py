"""What a body asks for: nulls, empty fields, and texts by other names are no obstacle."""

from __future__ import annotations

from typing import Any

import pytest

from lorabay.serving.engine import CHAT, COMPLETIONS, MESSAGES, RESPONSES, TOKENIZE, Body, Call
from lorabay.serving.vllm import errors as vllm_errors
from lorabay.serving.vllm.engine import SERVING_METHODS
from lorabay.serving.vllm.requests.asked import EMPTY, asked

HELLO = {"role": "user", "content": "Hello"}
CALLED = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
LEAST: dict[Call, Body] = {
    CHAT: {"messages": [HELLO]},
    COMPLETIONS: {"prompt": "Hello"},
    RESPONSES: {"input": "Hello"},
    MESSAGES: {"messages": [HELLO], "max_tokens": 5},
    TOKENIZE: {"messages": [HELLO]},
}


def validated(call: Call, body: Body) -> Any:
    return SERVING_METHODS[call].body.validate(body, model="tiny")


def shown(request: Any) -> dict[str, Any]:
    """All fields of a request but its own id."""
    fields: dict[str, Any] = request.model_dump()
    return {name: value for name, value in fields.items() if name != "request_id"}


@pytest.mark.parametrize("call", LEAST, ids=lambda call: call.name)
def test_a_null_is_as_good_as_nothing(call: Call) -> None:
    """Every field of every call may be null but those that it needs, as if it were not there."""
    fields = SERVING_METHODS[call].body.json_schema()
    kinds = fields.get("anyOf", [fields])
    names = {name for kind in kinds for name in kind.get("properties", {})}
    for kind in kinds:
        names |= set(
            fields.get("$defs", {})
            .get(kind.get("$ref", "").split("/")[-1], {})
            .get("properties", {})
        )
    assert len(names) >= 8

    nulls = dict.fromkeys(names) | LEAST[call]
    assert shown(validated(call, nulls)) == shown(validated(call, LEAST[call]))


@pytest.mark.parametrize("field", EMPTY)
@pytest.mark.parametrize("call", [CHAT, COMPLETIONS, RESPONSES], ids=lambda call: call.name)
def test_an_empty_field_asks_for_nothing(call: Call, field: str) -> None:
    """As clients send it that know every field, and set few."""
    body = LEAST[call] | {field: EMPTY[field]}
    assert shown(validated(call, body)).get(field) == shown(validated(call, LEAST[call])).get(field)


def test_what_is_empty_on_purpose_stays() -> None:
    """An empty prompt, conversation, system prompt or set of tokens is something else than none."""
    body = {"prompt": "", "messages": [], "system": "", "allowed_token_ids": [], "input": []}
    assert asked(body) == body
    with pytest.raises(vllm_errors.EngineFailure):
        validated(COMPLETIONS, {"prompt": ""})


@pytest.mark.parametrize("tools", [{}, {"tools": []}, {"tools": None}])
@pytest.mark.parametrize("choice", ["auto", "none", None])
def test_a_free_choice_of_no_tools_is_none(tools: Body, choice: str | None) -> None:
    """Clients send it beside the tools that they might have had; a demand is still refused."""
    request = validated(CHAT, LEAST[CHAT] | tools | {"tool_choice": choice})
    assert (request.tools, request.tool_choice) == (None, "none")
    with pytest.raises(vllm_errors.EngineFailure):
        validated(CHAT, LEAST[CHAT] | tools | {"tool_choice": "required"})


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": "Hello", "name": None},
        {"role": "user", "content": "Hello", "tool_calls": None, "tool_call_id": None},
        {
            "role": "assistant",
            "content": None,
            "name": None,
            "refusal": None,
            "audio": None,
            "function_call": None,
            "reasoning_content": None,
            "tool_calls": [CALLED],
        },
        {"role": "tool", "content": "{}", "tool_call_id": "call_1", "name": None},
    ],
)
def test_nulls_in_a_message_are_as_good_as_nothing(message: dict[str, Any]) -> None:
    """Libraries send back each message with every field that it could have."""
    (read,) = validated(CHAT, {"messages": [message]}).messages
    assert None not in [value for name, value in read.items() if name != "content"]
    assert read["role"] == message["role"]


@pytest.mark.parametrize(
    "part",
    ["Hello", {"type": "input_text", "text": "Hello"}, {"type": "output_text", "text": "Hello"}],
)
@pytest.mark.parametrize("call", [CHAT, TOKENIZE, MESSAGES], ids=lambda call: call.name)
def test_a_text_by_another_name_is_one(call: Call, part: Any) -> None:
    """Clients of the Responses API, and of simpler servers, send their parts to chats as well."""
    message = {"role": "user", "content": [part]}
    (read,) = validated(call, LEAST[call] | {"messages": [message]}).messages
    content = read.content if call is MESSAGES else read["content"]
    texts = [part.text if call is MESSAGES else part["text"] for part in content]
    assert texts == ["Hello"]
    assert message == {"role": "user", "content": [part]}


def test_a_body_is_not_changed() -> None:
    """Whoever holds it sees what the client sent."""
    message = HELLO | {"name": None, "content": ["Hello"]}
    body: Body = {"messages": [message], "tools": [], "n": None}
    before = repr(body)
    validated(CHAT, body)
    assert repr(body) == before
