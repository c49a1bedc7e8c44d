"""Requests of every kind that generates, streamed and whole, and how they are left."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx

TOKENS = 10
PROMPTS = ("Good morning", "What is a bond?", "Where is my parcel? I have waited for a week.")
LEFT_WITHIN_S = 1.0
"""How soon a whole answer is given up that is not waited for."""


@dataclass(frozen=True)
class Kind:
    """One kind of request: where it goes, what it asks beside its prompt, and what marks a piece
    of its streamed answer.
    """

    path: str
    asks: Mapping[str, Any]
    piece: str = ""
    """In the line of each token of a stream; empty for a whole answer."""
    prompt: str = "messages"
    together: Sequence[str] = ()
    """Further prompts of the same request."""
    can_be_left: bool = True

    def body(self, model: str, text: str) -> dict[str, Any]:
        """Return a request for the prompt `text`."""
        prompt: Any = [{"role": "user", "content": text}]
        if self.prompt != "messages":
            prompt = [text, *self.together] if self.together else text
        asked = {"model": model, self.prompt: prompt, **self.asks}
        return asked | {"stream": True} if self.piece else asked


CHAT = {"max_tokens": TOKENS, "ignore_eos": True}
STREAMED = {"stream_options": {"include_usage": True}}
KINDS = (
    Kind("/v1/chat/completions", CHAT | STREAMED, '"delta":{"content"'),
    Kind("/v1/chat/completions", CHAT),
    Kind("/v1/completions", CHAT | STREAMED, '"text":', prompt="prompt"),
    Kind("/v1/completions", CHAT, prompt="prompt"),
    Kind("/v1/responses", {"max_output_tokens": TOKENS}, "output_text.delta", prompt="input"),
    Kind("/v1/responses", {"max_output_tokens": TOKENS}, prompt="input"),
    Kind("/v1/messages", {"max_tokens": TOKENS}, "content_block_delta"),
    Kind("/v1/messages", {"max_tokens": TOKENS}),
    # vLLM counts a prompt for each answer to it, and whoever leaves may do so between two of them.
    Kind("/v1/chat/completions", CHAT | {"n": 3}, can_be_left=False),
    Kind("/v1/chat/completions", CHAT | STREAMED | {"n": 2}, '"delta":', can_be_left=False),
    Kind("/v1/completions", CHAT, prompt="prompt", together=("Hello",), can_be_left=False),
)


def drawn(models: Sequence[str], keys: Sequence[str], left: Sequence[str]) -> Iterator[Asked]:
    """Yield requests without end, of all kinds and models in turn; three of ten are left.

    Those that are left come with the keys `left`, the others with `keys`.
    """
    dice = random.Random(3)
    share = 0.3 * len(KINDS) / sum(kind.can_be_left for kind in KINDS)
    for number in count():
        kind = KINDS[number % len(KINDS)]
        model, text = models[number % len(models)], PROMPTS[number // 7 % len(PROMPTS)]
        if kind.can_be_left and dice.random() < share:
            yield Asked(kind, model, text, left[number % len(left)], dice.randrange(1, TOKENS))
        else:
            yield Asked(kind, model, text, keys[number % len(keys)], None)


@dataclass(frozen=True)
class Asked:
    """One request, and the piece at which it is left; None if it is not."""

    kind: Kind
    model: str
    text: str
    key: str
    leaves_at: int | None

    async def send(self, http: httpx.AsyncClient) -> int:
        """Return the generated tokens that the answer tells of; 0 if it was left before that."""
        headers = {"authorization": f"Bearer {self.key}"}
        body = self.kind.body(self.model, self.text)
        if self.kind.piece:
            async with http.stream("POST", self.kind.path, json=body, headers=headers) as answer:
                assert answer.status_code == 200, await answer.aread()
                return await self._read(answer)

        left_after_s = None if self.leaves_at is None else self.leaves_at * LEFT_WITHIN_S / TOKENS
        with suppress(TimeoutError):
            async with asyncio.timeout(left_after_s):
                whole = await http.post(self.kind.path, json=body, headers=headers)
            assert whole.status_code == 200, whole.text
            return told(whole.json())
        return 0

    async def _read(self, answer: httpx.Response) -> int:
        """Read a stream to its end, or to the piece at which it is left."""
        pieces, tokens = 0, 0
        async for line in answer.aiter_lines():
            pieces += line.startswith("data: ") and self.kind.piece in line
            if pieces == self.leaves_at:
                return 0
            if line.startswith("data: {"):
                tokens = told(json.loads(line.removeprefix("data: "))) or tokens
        return tokens


def told(answer: Mapping[str, Any]) -> int:
    """Return the generated tokens that an answer or an event tells of, in whatever API."""
    usage = answer.get("usage") or answer.get("response", {}).get("usage") or {}
    return int(usage.get("completion_tokens") or usage.get("output_tokens") or 0)
