"""The real anthropic package against the base and every adapter."""

from __future__ import annotations

import json
from collections.abc import Iterator

import anthropic
import httpx
import pytest
from anthropic import Anthropic

from tests.e2e.conftest import API_KEY, MODELS
from tests.e2e.server import Server

QUESTION = [{"role": "user", "content": "My parcel is late. What can I do?"}]
GREEDY = {"temperature": 0}
"""The package no longer has this field of the API among its arguments."""

SCHEMA = {
    "type": "object",
    "properties": {"open": {"type": "boolean"}},
    "required": ["open"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def claude(server: Server) -> Iterator[Anthropic]:
    with Anthropic(base_url=server.url, api_key=API_KEY, timeout=120, max_retries=0) as client:
        yield client


@pytest.mark.parametrize("model", MODELS)
def test_a_message_whole_and_streamed(claude: Anthropic, http: httpx.Client, model: str) -> None:
    """Both have one text, which is that of a chat, and the same usage."""
    request = {"model": model, "messages": QUESTION, "max_tokens": 12}
    whole = claude.messages.create(**request, extra_body=GREEDY)
    with claude.messages.stream(**request, extra_body=GREEDY) as stream:
        text = "".join(stream.text_stream)
        streamed = stream.get_final_message()
    [block] = whole.content
    assert block.text == text
    assert (whole.model, whole.role, whole.stop_reason) == (model, "assistant", "max_tokens")
    assert streamed.usage.output_tokens == whole.usage.output_tokens
    chat = http.post("/v1/chat/completions", json=request | GREEDY).json()
    assert chat["choices"][0]["message"]["content"] == text
    assert chat["usage"]["prompt_tokens"] == whole.usage.input_tokens


def test_a_demanded_tool_is_called(claude: Anthropic) -> None:
    """A named tool's input fits its schema."""
    message = claude.messages.create(
        model="ecommerce",
        messages=QUESTION,
        max_tokens=80,
        extra_body=GREEDY,
        tools=[{"name": "open_ticket", "input_schema": SCHEMA}],
        tool_choice={"type": "tool", "name": "open_ticket"},
    )
    [block] = message.content
    assert (message.stop_reason, block.type, block.name) == ("tool_use", "tool_use", "open_ticket")
    assert isinstance(block.input["open"], bool)


def test_tokens_are_counted(claude: Anthropic) -> None:
    """As many as the message then takes."""
    count = claude.messages.count_tokens(model="finance", messages=QUESTION)
    message = claude.messages.create(model="finance", messages=QUESTION, max_tokens=1)
    assert count.input_tokens == message.usage.input_tokens


def test_failures_are_anthropics_own(claude: Anthropic) -> None:
    """Its exceptions, by status and type, before and inside of what vLLM reads."""
    with pytest.raises(anthropic.NotFoundError) as unknown:
        claude.messages.create(model="finanec", messages=QUESTION, max_tokens=5)
    assert unknown.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.BadRequestError) as wrong:
        claude.messages.create(model="finance", messages=QUESTION, max_tokens=0)
    assert wrong.value.body["type"] == "error"
    with pytest.raises(anthropic.BadRequestError) as long:
        claude.messages.create(
            model="finance",
            messages=[{"role": "user", "content": "word " * 5000}],
            max_tokens=5,
            stream=True,
        )
    assert long.value.body["error"]["code"] == "context_length_exceeded"
    with pytest.raises(anthropic.AuthenticationError):
        claude.with_options(api_key="wrong").messages.create(
            model="finance", messages=QUESTION, max_tokens=5
        )


def test_events_have_their_names(http: httpx.Client) -> None:
    """As they are on the wire: each with its type, and no mark of another protocol at the end."""
    body = {"model": "finance", "messages": QUESTION, "max_tokens": 4, "stream": True}
    answer = http.post("/v1/messages", json=body)
    blocks = [block.split("\n") for block in answer.text.strip().split("\n\n")]
    names = [lines[0].removeprefix("event: ") for lines in blocks]
    assert names[0] == "message_start"
    assert names[-2:] == ["message_delta", "message_stop"]
    assert [json.loads(lines[1].removeprefix("data: "))["type"] for lines in blocks] == names
    assert answer.headers["x-adapter"] == "finance"
