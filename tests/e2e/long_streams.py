"""Streamed answers that go on until somebody ends them."""

from __future__ import annotations

import openai
from openai import OpenAI


def end_of_long_stream(client: OpenAI, model: str) -> str:
    """Read a long answer of a model to its end; return the code of its error, or `finished`."""
    try:
        for _ in client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "Tell me a long story."}],
            max_tokens=1000,
            stream=True,
            extra_body={"ignore_eos": True},
        ):
            pass
    except openai.APIError as error:
        return str(error.code)
    return "finished"
