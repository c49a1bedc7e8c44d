"""The `anthropic` package, on `/v1/messages`."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from anthropic import (
    Anthropic,
    APITimeoutError,
    AsyncAnthropic,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
)
from parts import CITY_SCHEMA, QUESTION, TOO_LONG, Target, has_city, main, part, raises
from pydantic import BaseModel

MESSAGES = [{"role": "user", "content": QUESTION}]
GREEDY = {"extra_body": {"temperature": 0}}
"""The package no longer has this field of the API among its arguments."""

TOOL = {
    "name": "weather",
    "description": "Tells the weather of a city.",
    "input_schema": CITY_SCHEMA,
}
OTHER_TOOL = TOOL | {"name": "forecast"}
NAMED = {"type": "tool", "name": "weather"}


class Weather(BaseModel):
    """A structured answer."""

    city: Literal["Paris", "Rome"]


def client(target: Target, **changes: Any) -> Anthropic:
    options = {"base_url": target.url, "api_key": target.key, "max_retries": 0}
    return Anthropic(**options | changes)


@part("chat")
def a_message(target: Target) -> None:
    """Has text, a reason to end, usage, and the id of its request."""
    message = client(target).messages.create(
        model=target.model,
        max_tokens=12,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        messages=MESSAGES,
        **GREEDY,
    )
    [block] = message.content
    assert (message.role, block.type) == ("assistant", "text")
    assert block.text
    assert message.stop_reason in ("end_turn", "max_tokens")
    assert message.usage.input_tokens > 0
    assert 0 < message.usage.output_tokens <= 12
    assert message._request_id


@part("chat")
def several_turns(target: Target) -> None:
    """A former answer is sent back as the package's own blocks."""
    asked = client(target)
    request = {"model": target.model, "max_tokens": 12, **GREEDY}
    first = asked.messages.create(**request, messages=MESSAGES)
    history = [
        *MESSAGES,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [{"type": "text", "text": "And in Rome?"}]},
    ]
    second = asked.messages.create(**request, messages=history)
    assert second.usage.input_tokens > first.usage.input_tokens


@part("chat")
def a_stop_sequence(target: Target) -> None:
    """It ends the answer, and the answer tells which one it was."""
    message = client(target).messages.create(
        model=target.model, max_tokens=300, messages=MESSAGES, stop_sequences=[".", "?"], **GREEDY
    )
    assert message.stop_reason == "stop_sequence"
    assert message.stop_sequence in (".", "?")


@part("chat")
def counted_tokens(target: Target) -> None:
    """As many as the message then takes, tools among them."""
    messages = client(target).messages
    counted = messages.count_tokens(model=target.model, messages=MESSAGES)
    answer = messages.create(model=target.model, messages=MESSAGES, max_tokens=1)
    assert counted.input_tokens == answer.usage.input_tokens


@part("chat")
def the_models(target: Target) -> None:
    """They are listed and described in the package's own form."""
    asked = client(target)
    models = {model.id: model for model in asked.models.list()}
    assert models[target.model].display_name == target.model
    one = asked.models.retrieve(target.model)
    assert one.type == "model"
    assert one.created_at.year > 2000


@part("stream")
def a_stream(target: Target) -> None:
    """Pieces make the text of the whole message, which has usage and a reason to end."""
    messages = client(target).messages
    request = {"model": target.model, "max_tokens": 12, "messages": MESSAGES, **GREEDY}
    whole = messages.create(**request)
    with messages.stream(**request) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert text == whole.content[0].text == message.content[0].text
    assert (message.stop_reason, message.usage.output_tokens) == (
        whole.stop_reason,
        whole.usage.output_tokens,
    )


@part("stream")
def events_in_their_order(target: Target) -> None:
    """Each block begins, grows and ends, and so does the message."""
    events = client(target).messages.create(
        model=target.model, max_tokens=6, messages=MESSAGES, stream=True
    )
    kinds = [event.type for event in events]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}


@part("tools")
def a_named_tool_and_its_result(target: Target) -> None:
    """The input fits the tool's schema, and the answer to its result is text."""
    messages = client(target).messages
    request = {"model": target.model, "tools": [TOOL], **GREEDY}
    called = messages.create(**request, messages=MESSAGES, max_tokens=120, tool_choice=NAMED)
    [use] = [block for block in called.content if block.type == "tool_use"]
    assert called.stop_reason == "tool_use"
    assert use.name == "weather"
    assert has_city(use.input)

    result = {"type": "tool_result", "tool_use_id": use.id, "content": "It is fine."}
    history = [
        *MESSAGES,
        {"role": "assistant", "content": called.content},
        {"role": "user", "content": [result]},
    ]
    choice = {"type": "auto" if target.takes_free_tools else "none"}
    answer = messages.create(**request, messages=history, max_tokens=12, tool_choice=choice)
    assert answer.content[0].text


@part("tools")
def any_tool_streamed(target: Target) -> None:
    """Pieces of JSON make the input of one of the tools."""
    with client(target).messages.stream(
        model=target.model,
        messages=MESSAGES,
        max_tokens=200,
        tools=[TOOL, OTHER_TOOL],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        **GREEDY,
    ) as stream:
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        message = stream.get_final_message()
    [use] = [block for block in message.content if block.type == "tool_use"]
    assert pieces
    assert use.name in ("weather", "forecast")
    assert has_city(use.input)
    assert message.stop_reason == "tool_use"


@part("tools", frees_tools=True)
def a_tool_that_the_model_may_call(target: Target) -> None:
    """Whether it calls is its own choice, but the request is answered."""
    message = client(target).messages.create(
        model=target.model, messages=MESSAGES, max_tokens=12, tools=[TOOL], **GREEDY
    )
    assert message.content


@part("structured")
def a_parsed_message(target: Target) -> None:
    """`parse` gives an object of the class that was asked for, whole and streamed."""
    messages = client(target).messages
    request = {"model": target.model, "messages": MESSAGES, "max_tokens": 60, **GREEDY}
    assert messages.parse(**request, output_format=Weather).parsed_output.city
    with messages.stream(**request, output_format=Weather) as stream:
        assert stream.get_final_message().parsed_output.city


@part("async")
async def several_at_once(target: Target) -> None:
    """Messages of one client run side by side, whole and streamed."""
    request = {"model": target.model, "messages": MESSAGES, "max_tokens": 8}
    async with AsyncAnthropic(base_url=target.url, api_key=target.key, max_retries=0) as asked:

        async def streamed() -> str:
            async with asked.messages.stream(**request) as stream:
                return await stream.get_final_text()

        whole, text = await asyncio.gather(asked.messages.create(**request), streamed())
    assert whole.content[0].text
    assert text


@part("errors")
def a_model_that_does_not_exist(target: Target) -> None:
    """A 404 with Anthropic's type, and the id of its request."""
    messages = client(target).messages
    for stream in (False, True):
        with raises(NotFoundError) as error:
            messages.create(model="finanec", messages=MESSAGES, max_tokens=5, stream=stream)
        assert error.value.body["error"]["type"] == "not_found_error"
        assert error.value.request_id


@part("errors")
def a_wrong_key(target: Target) -> None:
    """A 401, and nothing that a retry would mend."""
    with raises(AuthenticationError) as error:
        client(target, api_key="wrong", max_retries=2).messages.create(
            model=target.model, messages=MESSAGES, max_tokens=5
        )
    assert error.value.body["error"]["type"] == "authentication_error"


@part("errors")
def a_request_over_a_limit(target: Target) -> None:
    """A 400, also of a stream that has not begun."""
    messages = client(target).messages
    request = {"model": target.model, "max_tokens": 5}
    with raises(BadRequestError) as error:
        messages.create(**request | {"max_tokens": 0}, messages=MESSAGES)
    assert error.value.body["error"]["type"] == "invalid_request_error"
    too_long = [{"role": "user", "content": TOO_LONG}]
    with raises(BadRequestError) as error:
        messages.create(**request, messages=too_long, stream=True)
    assert error.value.body["error"]["code"] == "context_length_exceeded"


@part("errors")
def a_tool_that_the_server_would_run(target: Target) -> None:
    """Is refused, not passed over."""
    with raises(BadRequestError):
        client(target).messages.create(
            model=target.model,
            messages=MESSAGES,
            max_tokens=5,
            tools=[{"type": "web_search_20250305", "name": "web_search"}],
        )


@part("errors")
def a_client_that_does_not_wait(target: Target) -> None:
    """Its time limit is its own failure, and the server answers the next one."""
    with raises(APITimeoutError):
        client(target, timeout=0.05).messages.create(
            model=target.model, messages=MESSAGES, max_tokens=500
        )
    assert client(target).models.list().data


if __name__ == "__main__":
    main("anthropic")
