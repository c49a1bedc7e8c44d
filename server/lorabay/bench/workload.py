"""The requests of a run, encoded before its clock starts.

Equal work by construction: random prompts, none of which shares a prefix that a cache could reuse,
a fixed number of output tokens, end-of-sequence ignored, greedy. The same seed makes the same
requests, so two servers do the same work.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Literal

Endpoint = Literal["completions", "chat"]

TOKEN_IDS = range(1_000, 20_000)
"""Ordinary tokens in every vocabulary of today: above the special and byte tokens, below the end of
the smallest one.
"""
# One token each in common vocabularies.
WORDS = (
    "time",
    "year",
    "people",
    "way",
    "day",
    "man",
    "thing",
    "woman",
    "life",
    "child",
    "world",
    "school",
)
PATHS: dict[Endpoint, str] = {"completions": "/v1/completions", "chat": "/v1/chat/completions"}


@dataclass(frozen=True, slots=True)
class Workload:
    """The shape that all requests of a run share; the models are asked in turn."""

    models: tuple[str, ...]
    prompt_tokens: int
    output_tokens: int
    endpoint: Endpoint = "completions"

    @property
    def path(self) -> str:
        return PATHS[self.endpoint]


def request_bodies(workload: Workload, count: int, seed: int) -> list[bytes]:
    """Return `count` streaming requests as JSON."""
    rng = random.Random(seed)
    models = workload.models
    return [_body(workload, models[number % len(models)], rng) for number in range(count)]


def _body(workload: Workload, model: str, rng: random.Random) -> bytes:
    prompt: dict[str, object]
    if workload.endpoint == "chat":
        content = " ".join(rng.choices(WORDS, k=workload.prompt_tokens))
        prompt = {"messages": [{"role": "user", "content": content}]}
    else:
        prompt = {"prompt": rng.choices(TOKEN_IDS, k=workload.prompt_tokens)}

    common = {
        "model": model,
        "max_tokens": workload.output_tokens,
        "ignore_eos": True,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return json.dumps(common | prompt).encode()
