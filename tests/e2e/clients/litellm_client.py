"""The `litellm` package, as a library."""

from __future__ import annotations

import json
import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks another host at its import

import litellm
from pydantic import BaseModel


class Weather(BaseModel):
    """A structured answer."""

    city: str
    degrees: int


TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
            "required": ["city"],
        },
    },
}


def main(url: str, key: str, model: str) -> None:
    """Ask for everything."""
    litellm.telemetry = False
    request = {
        "model": f"hosted_vllm/{model}",
        "api_base": f"{url}/v1",
        "api_key": key,
        "max_tokens": 40,
        "num_retries": 0,
        "messages": [{"role": "user", "content": "How is the weather in Paris?"}],
    }

    chat = litellm.completion(**request)
    pieces = [
        chunk.choices[0].delta.content or "" for chunk in litellm.completion(**request, stream=True)
    ]
    named = {"type": "function", "function": {"name": "weather"}}
    called = litellm.completion(**request, tools=[TOOL], tool_choice=named)
    (call,) = called.choices[0].message.tool_calls
    structured = litellm.completion(**request | {"max_tokens": 120}, response_format=Weather)

    result = {
        "chat": chat.choices[0].message.content,
        "stream": "".join(pieces),
        "tool": [call.function.name, json.loads(call.function.arguments)],
        "structured": Weather.model_validate_json(
            structured.choices[0].message.content
        ).model_dump(),
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
