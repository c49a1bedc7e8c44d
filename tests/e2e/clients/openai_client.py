"""The `openai` package: chats, completions and responses."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from openai import (
    APITimeoutError,
    AsyncOpenAI,
    AuthenticationError,
    BadRequestError,
    LengthFinishReasonError,
    NotFoundError,
    OpenAI,
)
from parts import CITY_SCHEMA, QUESTION, TOO_LONG, Target, has_city, main, part, raises
from pydantic import BaseModel

MESSAGES = [{"role": "user", "content": QUESTION}]
GREEDY = {"temperature": 0, "max_tokens": 12}

FUNCTION = {
    "name": "weather",
    "description": "Tells the weather of a city.",
    "parameters": CITY_SCHEMA,
    "strict": True,
}
TOOL = {"type": "function", "function": FUNCTION}
OTHER_TOOL = {"type": "function", "function": FUNCTION | {"name": "forecast"}}
NAMED = {"type": "function", "function": {"name": "weather"}}


class Weather(BaseModel):
    """A structured answer."""

    city: Literal["Paris", "Rome"]


def client(target: Target, **changes: Any) -> OpenAI:
    options = {"base_url": target.openai_url, "api_key": target.key, "max_retries": 0}
    return OpenAI(**options | changes)


@part("chat")
def a_chat(target: Target) -> None:
    """Has text, a reason to end, usage, and the id of its request."""
    answer = client(target).chat.completions.create(model=target.model, messages=MESSAGES, **GREEDY)
    [choice] = answer.choices
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason in ("stop", "length")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer._request_id


@part("chat")
def two_choices_with_log_probabilities(target: Target) -> None:
    """Each choice has the best tokens of each place."""
    answer = client(target).chat.completions.create(
        model=target.model,
        messages=MESSAGES,
        max_tokens=4,
        n=2,
        temperature=1,
        seed=7,
        logprobs=True,
        top_logprobs=2,
    )
    assert [choice.index for choice in answer.choices] == [0, 1]
    for choice in answer.choices:
        tokens = choice.logprobs.content
        assert tokens
        assert all(len(token.top_logprobs) >= 2 and token.logprob <= 0 for token in tokens)


@part("chat")
def several_turns(target: Target) -> None:
    """A former answer is sent back as the package's own object."""
    asked = client(target)
    first = asked.chat.completions.create(model=target.model, messages=MESSAGES, **GREEDY)
    history = [
        {"role": "developer", "content": "You are brief."},
        *MESSAGES,
        first.choices[0].message,
        {"role": "user", "content": [{"type": "text", "text": "And in Rome?"}]},
    ]
    second = asked.chat.completions.create(model=target.model, messages=history, **GREEDY)
    assert second.choices[0].message.content
    assert second.usage.prompt_tokens > first.usage.prompt_tokens


@part("chat")
def a_text_completion(target: Target) -> None:
    """The older call answers, too."""
    answer = client(target).completions.create(model=target.model, prompt="Once upon", **GREEDY)
    assert answer.choices[0].text


@part("chat")
def a_response(target: Target) -> None:
    """The Responses API answers with text, and former items are taken back."""
    asked = client(target)
    request = {"model": target.model, "temperature": 0, "max_output_tokens": 12}
    first = asked.responses.create(**request, input=QUESTION, instructions="Be brief.")
    assert first.output_text
    assert first.status in ("completed", "incomplete")
    assert first.usage.output_tokens > 0

    history = [{"role": "user", "content": QUESTION}, *first.output]
    history.append({"role": "user", "content": "And in Rome?"})
    assert asked.responses.create(**request, input=history).output_text


@part("chat")
def the_models(target: Target) -> None:
    """They are listed, and each is described."""
    asked = client(target)
    assert target.model in {model.id for model in asked.models.list()}
    assert asked.models.retrieve(target.model).object == "model"


@part("stream")
def a_stream_with_usage(target: Target) -> None:
    """Pieces make the text of the whole answer; the last chunk has its usage and no choice."""
    asked = client(target)
    request = {"model": target.model, "messages": MESSAGES, **GREEDY}
    whole = asked.chat.completions.create(**request)
    chunks = list(
        asked.chat.completions.create(
            **request, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert text == whole.choices[0].message.content
    assert (chunks[-1].choices, chunks[-1].usage) == ([], whole.usage)
    reasons = [chunk.choices[0].finish_reason for chunk in chunks[:-1]]
    assert (reasons[-1], set(reasons[:-1])) == (whole.choices[0].finish_reason, {None})


@part("stream")
def two_choices_streamed(target: Target) -> None:
    """Pieces of both choices tell which one they belong to, and each ends."""
    chunks = client(target).chat.completions.create(
        model=target.model, messages=MESSAGES, max_tokens=6, n=2, temperature=1, stream=True
    )
    choices = [choice for chunk in chunks for choice in chunk.choices]
    ends = [choice.index for choice in choices if choice.finish_reason]
    assert sorted(ends) == [0, 1]


@part("stream")
def a_stream_by_the_helper(target: Target) -> None:
    """`stream()` makes a whole answer of its events."""
    request = {"model": target.model, "messages": MESSAGES, "temperature": 0, "max_tokens": 200}
    with client(target).chat.completions.stream(**request, stop=[".", "?"]) as stream:
        kinds = {event.type for event in stream}
        whole = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert whole.choices[0].message.content


@part("stream")
def a_response_by_the_helper(target: Target) -> None:
    """Its events are in their order, and the last one has the whole response."""
    request = {"model": target.model, "temperature": 0, "max_output_tokens": 200}
    stopping = {"extra_body": {"stop": [".", "?"]}}
    with client(target).responses.stream(**request, input=QUESTION, **stopping) as stream:
        events = list(stream)
        whole = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == whole.output_text != ""


@part("stream")
def a_stream_that_is_left(target: Target) -> None:
    """Leaving a stream early leaves the client usable."""
    asked = client(target)
    request = {"model": target.model, "messages": MESSAGES, "max_tokens": 500}
    with asked.chat.completions.create(**request, stream=True) as stream:
        next(iter(stream))
    assert asked.models.retrieve(target.model)


@part("tools")
def a_named_tool_and_its_result(target: Target) -> None:
    """The call comes with arguments that fit, and the answer to its result is text."""
    asked = client(target)
    request = {"model": target.model, "temperature": 0, "tools": [TOOL]}
    called = asked.chat.completions.create(
        **request, messages=MESSAGES, max_tokens=120, tool_choice=NAMED
    )
    message = called.choices[0].message
    [call] = message.tool_calls
    assert (call.type, call.function.name) == ("function", "weather")
    assert has_city(call.function.arguments)

    result = {"role": "tool", "tool_call_id": call.id, "content": "It is fine."}
    choice = "auto" if target.takes_free_tools else "none"
    answer = asked.chat.completions.create(
        **request, messages=[*MESSAGES, message, result], max_tokens=12, tool_choice=choice
    )
    assert answer.choices[0].message.content


@part("tools")
def a_required_tool_streamed(target: Target) -> None:
    """The first piece of a call has its id and name, and the pieces make its arguments."""
    chunks = client(target).chat.completions.create(
        model=target.model,
        messages=MESSAGES,
        temperature=0,
        max_tokens=200,
        tools=[TOOL, OTHER_TOOL],
        tool_choice="required",
        parallel_tool_calls=False,
        stream=True,
    )
    choices = [chunk.choices[0] for chunk in chunks]
    pieces = [call for choice in choices for call in choice.delta.tool_calls or ()]
    assert pieces[0].id
    assert {piece.index for piece in pieces} == {0}
    assert [piece.function.name for piece in pieces if piece.function.name] in (
        ["weather"],
        ["forecast"],
    )
    assert has_city("".join(piece.function.arguments or "" for piece in pieces))
    assert choices[-1].finish_reason == "tool_calls"


@part("tools")
def several_calls_at_once(target: Target) -> None:
    """Calls of one answer have ids of their own, and all their results are taken back."""
    asked = client(target)
    call = {"type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    calls = [call | {"id": "call_1"}, call | {"id": "call_2"}]
    history = [
        *MESSAGES,
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": "It is fine."},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "Rain"}]},
    ]
    answer = asked.chat.completions.create(
        model=target.model,
        messages=history,
        temperature=0,
        max_tokens=250,
        tools=[TOOL],
        tool_choice="required",
        parallel_tool_calls=True,
    )
    calls = answer.choices[0].message.tool_calls
    assert calls
    assert len({call.id for call in calls}) == len(calls)


@part("tools")
def a_tool_of_a_response(target: Target) -> None:
    """Items of the Responses API go back and forth, whole and streamed."""
    asked = client(target)
    tool = {"type": "function", **FUNCTION}
    request = {"model": target.model, "temperature": 0, "max_output_tokens": 120, "tools": [tool]}
    named = {"type": "function", "name": "weather"}
    called = asked.responses.create(**request, input=QUESTION, tool_choice=named)
    [call] = [item for item in called.output if item.type == "function_call"]
    assert call.name == "weather"
    assert has_city(call.arguments)

    result = {"type": "function_call_output", "call_id": call.call_id, "output": "It is fine."}
    history = [{"role": "user", "content": QUESTION}, *called.output, result]
    choice = "auto" if target.takes_free_tools else "none"
    assert asked.responses.create(**request, input=history, tool_choice=choice).output_text

    events = list(asked.responses.create(**request, input=QUESTION, tool_choice=named, stream=True))
    [done] = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert has_city(done.arguments)


@part("tools")
def tools_that_are_allowed(target: Target) -> None:
    """Only the tools that `allowed_tools` names are called."""
    tools = [{"type": "function", **FUNCTION}, {"type": "function", **FUNCTION, "name": "other"}]
    allowed = [{"type": "function", "name": "other"}]
    called = client(target).responses.create(
        model=target.model,
        temperature=0,
        max_output_tokens=200,
        input=QUESTION,
        tools=tools,
        tool_choice={"type": "allowed_tools", "mode": "required", "tools": allowed},
    )
    calls = [item for item in called.output if item.type == "function_call"]
    assert {call.name for call in calls} == {"other"}


@part("tools", frees_tools=True)
def a_tool_that_the_model_may_call(target: Target) -> None:
    """Whether it calls is its own choice, but the request is answered."""
    answer = client(target).chat.completions.create(
        model=target.model, messages=MESSAGES, tools=[TOOL], **GREEDY
    )
    message = answer.choices[0].message
    assert message.content or message.tool_calls


@part("structured")
def a_parsed_chat(target: Target) -> None:
    """`parse` gives an object of the class that was asked for, whole and streamed."""
    chats = client(target).chat.completions
    request = {"model": target.model, "messages": MESSAGES, "temperature": 0, "max_tokens": 60}
    assert chats.parse(**request, response_format=Weather).choices[0].message.parsed.city
    with chats.stream(**request, response_format=Weather) as stream:
        assert stream.get_final_completion().choices[0].message.parsed.city


@part("structured")
def a_parsed_response(target: Target) -> None:
    """The same in the Responses API."""
    answer = client(target).responses.parse(
        model=target.model,
        temperature=0,
        max_output_tokens=60,
        input=QUESTION,
        text_format=Weather,
    )
    assert answer.output_parsed.city


@part("structured")
def an_answer_that_is_cut(target: Target) -> None:
    """An object that does not fit into the answer is the package's own failure."""
    chats = client(target).chat.completions
    request = {"model": target.model, "messages": MESSAGES, "temperature": 0, "max_tokens": 1}
    with raises(LengthFinishReasonError):
        chats.parse(**request, response_format=Weather)


@part("async")
async def several_at_once(target: Target) -> None:
    """Requests of one client run side by side, whole and streamed."""
    options = {"base_url": target.openai_url, "api_key": target.key, "max_retries": 0}
    request = {"model": target.model, "messages": MESSAGES, **GREEDY}
    async with AsyncOpenAI(**options) as asked:
        stream, chat, response = await asyncio.gather(
            asked.chat.completions.create(**request, stream=True),
            asked.chat.completions.create(**request),
            asked.responses.create(model=target.model, input=QUESTION, max_output_tokens=8),
        )
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(pieces)
    assert chat.choices[0].message.content
    assert response.output_text


@part("errors")
def a_model_that_does_not_exist(target: Target) -> None:
    """A 404 with the contract's code, in every call."""
    asked = client(target)
    for ask in (
        lambda: asked.chat.completions.create(model="finanec", messages=MESSAGES),
        lambda: asked.chat.completions.create(model="finanec", messages=MESSAGES, stream=True),
        lambda: asked.responses.create(model="finanec", input=QUESTION),
        lambda: asked.models.retrieve("finanec"),
    ):
        with raises(NotFoundError) as error:
            ask()
        assert (error.value.code, error.value.param) == ("model_not_found", "model")


@part("errors")
def a_wrong_key(target: Target) -> None:
    """A 401, and nothing that a retry would mend."""
    with raises(AuthenticationError) as error:
        client(target, api_key="wrong", max_retries=2).models.list()
    assert error.value.code == "invalid_api_key"


@part("errors")
def a_request_over_a_limit(target: Target) -> None:
    """A 400 that names the field."""
    chats = client(target).chat.completions
    with raises(BadRequestError) as error:
        chats.create(model=target.model, messages=MESSAGES, n=5000)
    assert error.value.param == "n"
    too_long = [{"role": "user", "content": TOO_LONG}]
    with raises(BadRequestError) as error:
        chats.create(model=target.model, messages=too_long, stream=True)
    assert error.value.code == "context_length_exceeded"


@part("errors")
def what_no_server_of_ours_keeps(target: Target) -> None:
    """A former response, a conversation and hosted tools are refused, not passed over."""
    responses = client(target).responses
    for field, value in (
        ("previous_response_id", "resp_1"),
        ("conversation", "conv_1"),
        ("background", True),
        ("tools", [{"type": "web_search"}]),
    ):
        with raises(BadRequestError) as error:
            responses.create(model=target.model, input=QUESTION, **{field: value})
        assert error.value.param == field


@part("errors")
def a_client_that_does_not_wait(target: Target) -> None:
    """Its time limit is its own failure, and the server answers the next one."""
    with raises(APITimeoutError):
        client(target, timeout=0.05).chat.completions.create(
            model=target.model, messages=MESSAGES, max_tokens=500
        )
    assert client(target).models.list().data


if __name__ == "__main__":
    main("openai")
