"""The `langchain-openai` package."""

from __future__ import annotations

import json
import sys
from typing import Literal

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


class Weather(BaseModel):
    """A structured answer."""

    city: Literal["Paris", "Rome"]


@tool
def weather(city: Literal["Paris", "Rome"]) -> str:
    """Tell the weather of a city."""
    return f"fine in {city}"


def main(url: str, key: str, model: str) -> None:
    """Ask for everything."""
    chat = ChatOpenAI(base_url=f"{url}/v1", api_key=key, model=model, max_tokens=40, max_retries=0)
    question = "How is the weather in Paris?"

    answer = chat.invoke(question)
    pieces = [chunk.content for chunk in chat.stream(question)]
    called = chat.bind_tools([weather], tool_choice="weather").invoke(question)
    (call,) = called.tool_calls
    structured = chat.with_structured_output(Weather, method="json_schema").invoke(question)

    result = {
        "chat": answer.content,
        "stream": "".join(pieces),
        "tool": [call["name"], call["args"]],
        "structured": structured.model_dump(),
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
