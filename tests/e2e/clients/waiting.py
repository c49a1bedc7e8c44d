"""Two packages against a server that has only begun to start.

It answers 503 and says when to ask again; the packages do so by themselves.
"""

from __future__ import annotations

import asyncio

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from parts import QUESTION, Target, main, part

MESSAGES = [{"role": "user", "content": QUESTION}]

PATIENCE = 100
"""Retries: the server asks for five seconds between two, and its first start may take minutes."""


@part("errors")
async def both_wait(target: Target) -> None:
    """Until their questions are answered."""
    request = {"model": target.model, "messages": MESSAGES, "max_tokens": 4}
    openai = AsyncOpenAI(base_url=target.openai_url, api_key=target.key, max_retries=PATIENCE)
    anthropic = AsyncAnthropic(base_url=target.url, api_key=target.key, max_retries=PATIENCE)

    chat, message = await asyncio.gather(
        openai.chat.completions.create(**request), anthropic.messages.create(**request)
    )
    assert chat.choices[0].message.content
    assert message.content


if __name__ == "__main__":
    main("openai")
