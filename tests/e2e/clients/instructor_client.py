"""The `instructor` package, by tools and by JSON schema."""

from __future__ import annotations

import json
import sys
from typing import Literal

import instructor
from openai import OpenAI
from pydantic import BaseModel


class Weather(BaseModel):
    """A structured answer."""

    city: Literal["Paris", "Rome"]


def main(url: str, key: str, model: str) -> None:
    """Ask for everything that it is for."""
    openai = OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    request = {
        "model": model,
        "max_tokens": 60,
        "max_retries": 0,
        "messages": [{"role": "user", "content": "How is the weather in Paris?"}],
        "response_model": Weather,
    }

    by_tool = instructor.from_openai(openai, mode=instructor.Mode.TOOLS).create(**request)
    by_schema = instructor.from_openai(openai, mode=instructor.Mode.JSON_SCHEMA).create(**request)
    partial = instructor.from_openai(openai, mode=instructor.Mode.JSON_SCHEMA).create_partial(
        **request
    )

    result = {
        "tool": ["Weather", by_tool.model_dump()],
        "structured": by_schema.model_dump(),
        "stream": str([one.model_dump() for one in partial][-1]),
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
