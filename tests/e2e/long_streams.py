"""Streamed answers that go on until somebody ends them."""

from __future__ import annotations

from typing import Any

import openai
from openai import OpenAI


def long_stream(client: OpenAI, model: str, text: str, number: int = 0) -> Any:
    """Begin a long answer; requests of other numbers ask the same by chance alone."""
    return client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": text}],
        max_tokens=1000,
        stream=True,
        seed=number,
        temperature=number / 10,
        extra_body={"ignore_eos": True},
    )


def end_of_long_stream(client: OpenAI, model: str, text: str) -> str:
    """Read a long answer of a model to its end; return the code of its error, or `finished`."""
    try:
        for _ in long_stream(client, model, text):
            pass
    except openai.APIError as error:
        return str(error.code)
    return "finished"
