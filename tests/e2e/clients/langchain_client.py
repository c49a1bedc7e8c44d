"""The `langchain-openai` package, by chats and by the Responses API."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import openai
from langchain_core.messages import AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI
from langchain_openai.chat_models.base import OpenAIContextOverflowError
from parts import QUESTION, TOO_LONG, Target, has_city, main, part, raises
from pydantic import BaseModel


class Weather(BaseModel):
    """A structured answer."""

    city: Literal["Paris", "Rome"]


@tool
def weather(city: Literal["Paris", "Rome"]) -> str:
    """Tell the weather of a city."""
    return f"fine in {city}"


def model(target: Target, **changes: Any) -> ChatOpenAI:
    options = {
        "base_url": target.openai_url,
        "api_key": target.key,
        "model": target.model,
        "max_tokens": 12,
        "temperature": 0,
        "max_retries": 0,
    }
    return ChatOpenAI(**options | changes)


@part("chat")
def a_chat(target: Target) -> None:
    """Has text, usage, and what the server tells of its end."""
    answer = model(target).invoke([SystemMessage("You are brief."), HumanMessage(QUESTION)])
    assert answer.content
    assert answer.usage_metadata["output_tokens"] > 0
    assert answer.response_metadata["finish_reason"] in ("stop", "length")
    assert answer.response_metadata["model_name"] == target.model


@part("chat")
def several_turns(target: Target) -> None:
    """A former answer is sent back."""
    chat = model(target)
    first = chat.invoke(QUESTION)
    assert chat.invoke([HumanMessage(QUESTION), first, HumanMessage("And in Rome?")]).content


@part("chat")
def other_calls(target: Target) -> None:
    """Text completions and the Responses API answer, too; several prompts go in one batch."""
    options = {"base_url": target.openai_url, "api_key": target.key, "max_retries": 0}
    assert OpenAI(**options, model=target.model, max_tokens=8).invoke("Once upon")
    assert model(target, use_responses_api=True).invoke(QUESTION).text
    answers = model(target).batch([QUESTION, "Hello", "Good bye"])
    assert all(answer.content for answer in answers)


@part("chat")
def log_probabilities(target: Target) -> None:
    """Come with the answer's metadata."""
    answer = model(target, logprobs=True, top_logprobs=2).invoke(QUESTION)
    tokens = answer.response_metadata["logprobs"]["content"]
    assert all(len(token["top_logprobs"]) == 2 for token in tokens)


@part("stream")
def a_stream_with_usage(target: Target) -> None:
    """Chunks add up to the text of the whole answer and its usage, by both APIs."""
    for chat in (model(target, stream_usage=True), model(target, use_responses_api=True)):
        whole = chat.invoke(QUESTION)
        chunks = list(chat.stream(QUESTION))
        streamed = AIMessageChunk(content="")
        for chunk in chunks:
            streamed = streamed + chunk
        assert streamed.text == whole.text != ""
        used, streamed_use = whole.usage_metadata, streamed.usage_metadata
        assert streamed_use["output_tokens"] == used["output_tokens"]


@part("tools")
def a_tool_and_its_result(target: Target) -> None:
    """The call is run, and the answer to its result is text, by both APIs."""
    for options in ({}, {"use_responses_api": True}):
        chat = model(target, max_tokens=120, **options)
        question = HumanMessage(QUESTION)
        called = chat.bind_tools([weather], tool_choice="weather").invoke([question])
        [call] = called.tool_calls
        assert call["name"] == "weather"
        result = weather.invoke(call)
        assert isinstance(result, ToolMessage)

        choice = "auto" if target.takes_free_tools else "none"
        again = chat.bind_tools([weather], tool_choice=choice)
        assert again.invoke([question, called, result], max_tokens=12).text


@part("tools")
def a_required_tool_streamed(target: Target) -> None:
    """Chunks of a call add up to its arguments."""
    chat = model(target, max_tokens=200).bind_tools(
        [weather], tool_choice="any", parallel_tool_calls=False
    )
    streamed = AIMessageChunk(content="")
    for chunk in chat.stream(QUESTION):
        streamed = streamed + chunk
    assert len(streamed.tool_call_chunks) == 1
    [call] = streamed.tool_calls
    assert call["id"]
    assert has_city(call["args"])


@part("tools", frees_tools=True)
def a_tool_that_the_model_may_call(target: Target) -> None:
    """Whether it calls is its own choice, but the request is answered."""
    answer = model(target).bind_tools([weather]).invoke(QUESTION)
    assert answer.content or answer.tool_calls


@part("structured")
def every_method(target: Target) -> None:
    """An object of the class that was asked for, bound by its schema or by a tool."""
    chat = model(target, max_tokens=120)
    for method in ("json_schema", "function_calling"):
        assert chat.with_structured_output(Weather, method=method).invoke(QUESTION).city
    chat = model(target, max_tokens=120, use_responses_api=True)
    assert chat.with_structured_output(Weather).invoke(QUESTION).city


@part("structured")
def a_streamed_object(target: Target) -> None:
    """The last piece is the whole object."""
    chat = model(target, max_tokens=60).with_structured_output(Weather)
    assert list(chat.stream(QUESTION))[-1].city


@part("async")
async def several_at_once(target: Target) -> None:
    """Whole and streamed answers side by side."""
    chat = model(target)

    async def streamed() -> str:
        return "".join([chunk.text async for chunk in chat.astream(QUESTION)])

    whole, text, answers = await asyncio.gather(
        chat.ainvoke(QUESTION), streamed(), chat.abatch([QUESTION, "Hello"])
    )
    assert whole.content
    assert text
    assert all(answer.content for answer in answers)


@part("errors")
def failures_have_classes(target: Target) -> None:
    """Each status is an exception of openai, and a prompt over the context one of the package."""
    with raises(openai.NotFoundError):
        model(target, model="finanec").invoke(QUESTION)
    with raises(openai.AuthenticationError):
        model(target, api_key="wrong").invoke(QUESTION)
    with raises(openai.BadRequestError):
        model(target, n=5000).invoke(QUESTION)
    with raises(OpenAIContextOverflowError):
        model(target).invoke(TOO_LONG)
    with raises(OpenAIContextOverflowError):
        list(model(target).stream(TOO_LONG))


@part("errors")
def a_client_that_does_not_wait(target: Target) -> None:
    """Its time limit is a failure of its own, and the server answers the next one."""
    with raises(openai.APITimeoutError):
        model(target, timeout=0.05, max_tokens=500).invoke(QUESTION)
    assert model(target).invoke(QUESTION).content


if __name__ == "__main__":
    main("langchain-openai")
