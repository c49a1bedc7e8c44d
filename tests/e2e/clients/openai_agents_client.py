"""The `openai-agents` package, on chat completions."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Literal

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from agents.items import ToolCallItem
from openai import AsyncOpenAI
from pydantic import BaseModel


class Weather(BaseModel):
    """A structured answer."""

    city: Literal["Paris", "Rome"]


@function_tool
def weather(city: Literal["Paris", "Rome"]) -> str:
    """Tell the weather of a city."""
    return f"fine in {city}"


async def main(url: str, key: str, model: str) -> None:
    """Ask for everything."""
    set_tracing_disabled(True)
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    served = OpenAIChatCompletionsModel(model=model, openai_client=client)
    question, settings = "How is the weather in Paris?", ModelSettings(max_tokens=60)

    plain = Agent(name="plain", model=served, model_settings=settings)
    chat = await Runner.run(plain, question)
    stream = Runner.run_streamed(plain, question)
    pieces = [
        event.data.delta
        async for event in stream.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    named = ModelSettings(max_tokens=60, tool_choice="weather")
    tools = Agent(name="tools", model=served, model_settings=named, tools=[weather])
    called = await Runner.run(tools, question)
    (call,) = [item.raw_item for item in called.new_items if isinstance(item, ToolCallItem)][:1]
    typed = Agent(name="typed", model=served, model_settings=settings, output_type=Weather)
    structured = await Runner.run(typed, question)

    result = {
        "chat": chat.final_output,
        "stream": "".join(pieces),
        "tool": [call.name, json.loads(call.arguments)],
        "structured": structured.final_output.model_dump(),
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
