"""The `pydantic-ai` package, by chats and by the Responses API."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Literal

from parts import QUESTION, TOO_LONG, Target, main, part, raises
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.capabilities import NativeTool
from pydantic_ai.exceptions import (
    ModelAuthenticationError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelTimeoutError,
)
from pydantic_ai.messages import (
    ModelRequest,
    ModelResponse,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.native_tools import WebSearchTool
from pydantic_ai.providers.openai import OpenAIProvider

SETTINGS = {"max_tokens": 12, "temperature": 0}
ROOMY = {"max_tokens": 200, "temperature": 0}


class Weather(BaseModel):
    """A structured answer."""

    city: Literal["Paris", "Rome"]


class Forecast(BaseModel):
    """Another one."""

    city: Literal["Paris", "Rome"]


def weather(city: Literal["Paris", "Rome"]) -> str:
    """Tell the weather of a city."""
    return f"fine in {city}"


def models(target: Target, **changes: Any) -> Iterator[OpenAIChatModel | OpenAIResponsesModel]:
    """Yield a model of each API."""
    name = changes.pop("name", target.model)
    options = {"base_url": target.openai_url, "api_key": target.key} | changes
    for kind in (OpenAIChatModel, OpenAIResponsesModel):
        yield kind(name, provider=OpenAIProvider(**options))


@part("chat")
async def runs(target: Target) -> None:
    """A run has text and usage."""
    for model in models(target):
        result = await Agent(model, instructions="Be brief.").run(QUESTION, model_settings=SETTINGS)
        assert result.output
        assert result.usage.output_tokens > 0


@part("chat")
async def several_turns(target: Target) -> None:
    """The messages of a former run are sent back."""
    for model in models(target):
        agent = Agent(model)
        first = await agent.run(QUESTION, model_settings=SETTINGS)
        second = await agent.run(
            "And in Rome?", message_history=first.all_messages(), model_settings=SETTINGS
        )
        assert second.output
        assert second.usage.input_tokens > first.usage.input_tokens


@part("stream")
async def streamed_runs(target: Target) -> None:
    """Pieces make the text of the whole run, and its usage is known after them."""
    for model in models(target):
        agent = Agent(model)
        whole = await agent.run(QUESTION, model_settings=SETTINGS)
        async with agent.run_stream(QUESTION, model_settings=SETTINGS) as stream:
            pieces = [piece async for piece in stream.stream_text(delta=True, debounce_by=None)]
            usage = stream.usage
        assert "".join(pieces) == whole.output
        assert usage.output_tokens == whole.usage.output_tokens


@part("tools")
async def outputs_by_tools(target: Target) -> None:
    """A tool for the output must be called; of two, one of them, whole and streamed."""
    for model in models(target):
        for output in (ToolOutput(Weather), [ToolOutput(Weather), ToolOutput(Forecast)]):
            agent = Agent(model, output_type=output)
            assert (await agent.run(QUESTION, model_settings=ROOMY)).output.city
            async with agent.run_stream(QUESTION, model_settings=ROOMY) as stream:
                assert (await stream.get_output()).city


@part("tools")
async def a_tool_among_others(target: Target) -> None:
    """A choice of two tools of three is kept, which the Responses API sends as `allowed_tools`."""
    for model in models(target):
        agent = Agent(model, output_type=[ToolOutput(Weather), ToolOutput(Forecast)])
        agent.tool_plain(weather)
        settings = ROOMY | {"tool_choice": "none"}
        assert (await agent.run(QUESTION, model_settings=settings)).output.city


@part("tools", frees_tools=True)
async def a_tool_and_its_result(target: Target) -> None:
    """A tool that the model may call, and the result of a call that it made before."""
    history = [
        ModelRequest(parts=[UserPromptPart(QUESTION)]),
        ModelResponse(parts=[ToolCallPart("weather", {"city": "Rome"}, "call_1")]),
        ModelRequest(parts=[ToolReturnPart("weather", "fine in Rome", "call_1")]),
    ]
    for model in models(target):
        agent = Agent(model, tools=[weather])
        assert (await agent.run(QUESTION, model_settings=SETTINGS)).output
        assert (await agent.run(message_history=history, model_settings=SETTINGS)).output


@part("structured")
async def outputs_by_schema(target: Target) -> None:
    """The class is the schema of the answer, whole and streamed."""
    for model in models(target):
        agent = Agent(model, output_type=NativeOutput(Weather))
        assert (await agent.run(QUESTION, model_settings=ROOMY)).output.city
        async with agent.run_stream(QUESTION, model_settings=ROOMY) as stream:
            assert (await stream.get_output()).city


@part("async")
async def several_at_once(target: Target) -> None:
    """Runs side by side."""
    [chat, responses] = models(target)
    results = await asyncio.gather(
        *[Agent(model).run(QUESTION, model_settings=SETTINGS) for model in (chat, responses, chat)]
    )
    assert all(result.output for result in results)


@part("errors")
async def failures_have_classes(target: Target) -> None:
    """Each status is the package's own exception."""
    for kind, changes, question, settings in (
        (ModelNotFoundError, {"name": "finanec"}, QUESTION, SETTINGS),
        (ModelAuthenticationError, {"api_key": "wrong"}, QUESTION, SETTINGS),
        (ModelContextWindowExceededError, {}, TOO_LONG, SETTINGS),
        (ModelHTTPError, {}, QUESTION, SETTINGS | {"temperature": 9}),
    ):
        for model in models(target, **changes):
            with raises(kind) as error:
                await Agent(model).run(question, model_settings=settings)
            assert 400 <= error.value.status_code < 500


@part("errors")
async def a_client_that_does_not_wait(target: Target) -> None:
    """Its time limit is its own failure."""
    settings = {"max_tokens": 500, "timeout": 0.05}
    for model in models(target):
        with raises(ModelTimeoutError):
            await Agent(model).run(QUESTION, model_settings=settings | {"max_retries": 0})


@part("errors")
async def what_no_server_of_ours_runs(target: Target) -> None:
    """A hosted tool and a former response are refused, not passed over."""
    [_, model] = models(target)
    searching = Agent(model, capabilities=[NativeTool(WebSearchTool())])
    with raises(ModelHTTPError):
        await searching.run(QUESTION, model_settings=SETTINGS)
    kept = SETTINGS | {"openai_previous_response_id": "resp_1"}
    with raises(ModelHTTPError):
        await Agent(model).run(QUESTION, model_settings=kept)


if __name__ == "__main__":
    main("pydantic-ai-slim")
