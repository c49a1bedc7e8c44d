"""An `Engine` without a model: echoes what it is asked, or does what a test gives it as `reply`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, get_args

from lorabay.catalog.versions import Digest, Version
from lorabay.errors import EngineUnavailable
from lorabay.serving.engine import Answer, AnswerStream, Body, Endpoint
from tests.fake_stream import USAGE, FakeStream, words


async def echo(body: Body) -> Answer | AnswerStream:
    """Stream when asked to, else give the body back."""
    return (
        FakeStream(words(body["model"]))
        if body.get("stream")
        else Answer(json.dumps(body).encode(), USAGE)
    )


class FakeEngine:
    max_model_len: int | None = 2048

    def __init__(
        self, reply: Callable[[Body], Awaitable[Answer | AnswerStream]] = echo, *, up: bool = True
    ) -> None:
        self.reply, self.up, self.dead = reply, up, asyncio.Event()
        self.loaded: set[Version] = set()
        self.asked: list[tuple[Endpoint, Body, Version | None, str]] = []

    async def start(self) -> None:
        self.up = True

    async def stop(self) -> None:
        self.up = False

    async def died(self) -> None:
        await self.dead.wait()

    async def load(self, version: Version) -> None:
        self.loaded.add(version)

    async def unload(self, version: Version) -> None:
        self.loaded.discard(version)

    async def resident(self) -> frozenset[Digest]:
        return frozenset(version.digest for version in self.loaded)

    def check(self) -> None:
        if not self.up:
            raise EngineUnavailable("the engine is not up yet", retry_after=4.2)

    def schemas(self) -> Mapping[Endpoint, Mapping[str, Any]]:
        names = {"model": {"$ref": "#/components/schemas/Word"}}
        schema = {"type": "object", "properties": names, "$defs": {"Word": {"type": "string"}}}
        return {endpoint: schema | {"title": endpoint} for endpoint in get_args(Endpoint)}

    async def run(
        self, endpoint: Endpoint, body: Body, version: Version | None, *, request_id: str
    ) -> Answer | AnswerStream:
        self.asked.append((endpoint, body, version, request_id))
        return await self.reply(body)
