"""The `openai-agents` package, by the Responses API, which is its default, and by chats."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Literal

import openai
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIProvider,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    SQLiteSession,
    WebSearchTool,
    function_tool,
    set_tracing_disabled,
)
from agents.exceptions import ModelBehaviorError
from agents.items import ToolCallItem, ToolCallOutputItem
from openai import AsyncOpenAI
from parts import QUESTION, TOO_LONG, Target, has_city, main, part, raises
from pydantic import BaseModel

set_tracing_disabled(True)

SETTINGS: dict[str, Any] = {
    "temperature": 0,
    "max_tokens": 300,
    "extra_body": {"stop": [".", "?", "!"]},
}
"""A response that does not fit into its tokens is a failure here, so answers end at a sentence."""


class Weather(BaseModel):
    """A structured answer."""

    city: Literal["Paris", "Rome"]


@function_tool
def weather(city: Literal["Paris", "Rome"]) -> str:
    """Tell the weather of a city."""
    return f"fine in {city}"


def client(target: Target, **changes: Any) -> AsyncOpenAI:
    options = {"base_url": target.openai_url, "api_key": target.key, "max_retries": 0}
    return AsyncOpenAI(**options | changes)


def models(target: Target, **changes: Any) -> Iterator[Any]:
    """Yield a model of each API."""
    name = changes.pop("name", target.model)
    for kind in (OpenAIResponsesModel, OpenAIChatCompletionsModel):
        yield kind(model=name, openai_client=client(target, **changes))


def agent(model: Any, **changes: Any) -> Agent:
    settings = ModelSettings(**SETTINGS | changes.pop("settings", {}))
    return Agent(name="one", model=model, model_settings=settings, **changes)


@part("chat")
async def runs(target: Target) -> None:
    """A run has text and usage."""
    for model in models(target):
        result = await Runner.run(agent(model, instructions="Be brief."), QUESTION)
        assert result.final_output
        assert result.context_wrapper.usage.output_tokens > 0


@part("chat")
async def a_model_by_its_name(target: Target) -> None:
    """As a provider finds it, which speaks the Responses API."""
    provider = OpenAIProvider(base_url=target.openai_url, api_key=target.key)
    config = RunConfig(model_provider=provider)
    result = await Runner.run(agent(target.model), QUESTION, run_config=config)
    assert result.final_output


@part("chat")
async def several_turns(target: Target) -> None:
    """By the items of a former run, and by a session."""
    for model in models(target):
        first = await Runner.run(agent(model), QUESTION)
        again = [*first.to_input_list(), {"role": "user", "content": "And in Rome?"}]
        assert (await Runner.run(agent(model), again)).final_output

        session = SQLiteSession("one")
        await Runner.run(agent(model), QUESTION, session=session)
        assert (await Runner.run(agent(model), "And in Rome?", session=session)).final_output


@part("stream")
async def streamed_runs(target: Target) -> None:
    """Pieces make the text of the run."""
    for model in models(target):
        stream = Runner.run_streamed(agent(model), QUESTION)
        pieces = [
            event.data.delta
            async for event in stream.stream_events()
            if event.type == "raw_response_event"
            and event.data.type == "response.output_text.delta"
        ]
        assert len(pieces) > 1
        assert "".join(pieces) == stream.final_output


@part("tools")
async def a_named_tool(target: Target) -> None:
    """The tool is called and runs, whole and streamed."""
    for model in models(target):
        asked = agent(
            model,
            settings={"tool_choice": "weather", "extra_body": None},
            tools=[weather],
            tool_use_behavior="stop_on_first_tool",
        )
        whole = await Runner.run(asked, QUESTION)
        streamed = Runner.run_streamed(asked, QUESTION)
        _ = [event async for event in streamed.stream_events()]
        for result in (whole, streamed):
            [call] = [item.raw_item for item in result.new_items if isinstance(item, ToolCallItem)]
            assert call.name == "weather"
            assert has_city(call.arguments)
            assert result.final_output.startswith("fine in ")


@part("tools", frees_tools=True)
async def a_tool_and_its_result(target: Target) -> None:
    """After the call its result is sent back, and text is the end: a loop of two requests."""
    for model in models(target):
        asked = agent(model, settings={"tool_choice": "required"}, tools=[weather])
        result = await Runner.run(asked, QUESTION)
        assert any(isinstance(item, ToolCallOutputItem) for item in result.new_items)
        assert result.final_output


@part("tools", frees_tools=True)
async def a_handoff(target: Target) -> None:
    """Another agent is a tool that the model must choose, and then answers."""
    for model in models(target):
        other = Agent(name="other", model=model, model_settings=ModelSettings(**SETTINGS))
        asked = agent(model, settings={"tool_choice": "required"}, handoffs=[other])
        result = await Runner.run(asked, QUESTION)
        assert result.last_agent.name == "other"
        assert result.final_output


@part("structured")
async def outputs_of_a_class(target: Target) -> None:
    """The class is the schema of the answer, whole and streamed."""
    for model in models(target):
        asked = agent(model, output_type=Weather, settings={"extra_body": None})
        assert (await Runner.run(asked, QUESTION)).final_output.city
        stream = Runner.run_streamed(asked, QUESTION)
        _ = [event async for event in stream.stream_events()]
        assert stream.final_output.city


@part("async")
async def several_at_once(target: Target) -> None:
    """Runs side by side."""
    results = await asyncio.gather(
        *[Runner.run(agent(model), QUESTION) for model in models(target)]
    )
    assert all(result.final_output for result in results)


@part("errors")
async def failures_are_those_of_openai(target: Target) -> None:
    """As the package passes them on."""
    for kind, changes, question in (
        (openai.NotFoundError, {"name": "finanec"}, QUESTION),
        (openai.AuthenticationError, {"api_key": "wrong"}, QUESTION),
        (openai.BadRequestError, {}, TOO_LONG),
        (openai.APITimeoutError, {"timeout": 0.05}, QUESTION),
    ):
        for model in models(target, **changes):
            with raises(kind):
                await Runner.run(agent(model), question)


@part("errors")
async def what_no_server_of_ours_keeps(target: Target) -> None:
    """A former response, a conversation and a hosted tool are refused, not passed over."""
    [model, _] = models(target)
    for kept in ({"previous_response_id": "resp_1"}, {"conversation_id": "conv_1"}):
        with raises(openai.BadRequestError) as error:
            await Runner.run(agent(model), QUESTION, **kept)
        assert error.value.param in ("previous_response_id", "conversation")
    with raises(openai.BadRequestError) as error:
        await Runner.run(agent(model, tools=[WebSearchTool()]), QUESTION)
    assert error.value.param == "tools"


@part("errors")
async def an_answer_that_is_cut(target: Target) -> None:
    """A response that did not fit is a failure of the package's own."""
    [model, _] = models(target)
    with raises(ModelBehaviorError):
        await Runner.run(agent(model, settings={"max_tokens": 2, "extra_body": None}), QUESTION)


if __name__ == "__main__":
    main("openai-agents")
