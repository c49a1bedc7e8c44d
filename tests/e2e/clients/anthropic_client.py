"""The `anthropic` package, on `/v1/messages`."""

from __future__ import annotations

import json
import sys

import anthropic

TOOL = {
    "name": "weather",
    "description": "Tells the weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
        "required": ["city"],
    },
}


def main(url: str, key: str, model: str) -> None:
    """Ask for everything."""
    client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0)
    request = {
        "model": model,
        "max_tokens": 40,
        "system": "You are brief.",
        "messages": [{"role": "user", "content": "How is the weather in Paris?"}],
    }

    chat = client.messages.create(**request)
    with client.messages.stream(**request) as stream:
        pieces = list(stream.text_stream)
    called = client.messages.create(
        **request, tools=[TOOL], tool_choice={"type": "tool", "name": "weather"}
    )
    (use,) = [block for block in called.content if block.type == "tool_use"]
    counted = client.messages.count_tokens(model=model, messages=request["messages"])

    result = {
        "chat": chat.content[0].text,
        "stream": "".join(pieces),
        "tool": [use.name, use.input],
        "structured": use.input,
        "tokens": counted.input_tokens,
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
