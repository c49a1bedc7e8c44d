"""The `pydantic-ai` package."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Literal

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


class Weather(BaseModel):
    """A structured answer."""

    city: Literal["Paris", "Rome"]


async def main(url: str, key: str, model: str) -> None:
    """Ask for everything."""
    provider = OpenAIProvider(base_url=f"{url}/v1", api_key=key)
    chat_model = OpenAIChatModel(model, provider=provider)
    question, settings = "How is the weather in Paris?", {"max_tokens": 60}

    chat = await Agent(chat_model).run(question, model_settings=settings)
    async with Agent(chat_model).run_stream(question, model_settings=settings) as stream:
        pieces = [piece async for piece in stream.stream_text(delta=True)]
    by_tool = await Agent(chat_model, output_type=ToolOutput(Weather)).run(
        question, model_settings=settings
    )
    by_schema = await Agent(chat_model, output_type=NativeOutput(Weather)).run(
        question, model_settings=settings
    )

    result = {
        "chat": chat.output,
        "stream": "".join(pieces),
        "tool": ["Weather", by_tool.output.model_dump()],
        "structured": by_schema.output.model_dump(),
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
