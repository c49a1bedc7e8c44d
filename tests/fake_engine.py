"""An `Engine` without a model: echoes the body, or replies as a test wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Set
from typing import Any

from lorabay.catalog.versions import Digest, Version
from lorabay.errors import EngineUnavailable
from lorabay.serving.engine import (
    CALLS,
    AdapterRoom,
    Answer,
    AnswerStream,
    Body,
    Call,
    Compiled,
    Meter,
    Slots,
    StepTokens,
    Usage,
    not_served,
)
from tests.fake_stream import USAGE, FakeStream, words


async def echo(body: Body) -> Answer | AnswerStream:
    """Stream if the body asks for it, else return the body."""
    if body.get("stream"):
        return FakeStream(words(body["model"]))
    return Answer(json.dumps(body).encode(), USAGE)


class FakeEngine:
    max_model_len: int | None = 2048
    max_sequences: int | None = None
    reads_at_once: StepTokens | None = None
    adapter_room: AdapterRoom | None = None
    compiled: Compiled | None = Compiled.YES

    def __init__(
        self, reply: Callable[[Body], Awaitable[Answer | AnswerStream]] = echo, *, up: bool = True
    ) -> None:
        self.reply, self.up, self.dead = reply, up, asyncio.Event()
        self.loaded: set[Version] = set()
        self.asked: list[tuple[Call, Body, Version | None, str]] = []
        self.in_slots: Slots | None = None
        self.pinned: Callable[[], Set[Digest]] = frozenset
        self.resized: list[Callable[[], None]] = []
        self.spent = Usage()
        self.prompt_tokens: int | None = None
        """What the engine counts of a prompt; None if it does not count."""
        self.headers: dict[str, str] = {}
        self.calls = CALLS

    async def start(self) -> None:
        self.up = True

    async def stop(self) -> None:
        self.up = False

    async def died(self) -> None:
        await self.dead.wait()

    async def beat(self) -> None:
        self.check()

    async def kill(self) -> None:
        self.dead.set()

    async def load(self, version: Version) -> None:
        self.loaded.add(version)

    async def unload(self, version: Version) -> None:
        self.loaded.discard(version)

    def holds(self, version: Version) -> bool:
        """Return whether a version's weights are loaded, by whatever version that shares them."""
        return any(loaded.weights == version.weights for loaded in self.loaded)

    def check(self) -> None:
        if not self.up:
            raise EngineUnavailable("the engine is not up yet", retry_after=4.2)

    def check_call(self, call: Call) -> None:
        if call not in self.calls:
            raise not_served(call, self.calls)

    def schemas(self) -> Mapping[str, Mapping[str, Any]]:
        names = {"model": {"$ref": "#/components/schemas/Word"}}
        schema = {"type": "object", "properties": names, "$defs": {"Word": {"type": "string"}}}
        return {call.name: schema | {"title": call.name} for call in CALLS}

    def slots(self) -> Slots | None:
        return self.in_slots

    def when_resized(self, resized: Callable[[], None]) -> None:
        self.resized.append(resized)

    def resize(self, *, places: int, slots: int) -> None:
        """Take other numbers of adapters from now on, and say so."""
        self.adapter_room = AdapterRoom(places, slots)
        for resized in self.resized:
            resized()

    def keep_in_slots(self, pinned: Callable[[], Set[Digest]]) -> None:
        self.pinned = pinned

    async def run(
        self,
        call: Call,
        body: Body,
        version: Version | None,
        *,
        request_id: str,
        headers: Mapping[str, str] | None = None,
        meter: Meter | None = None,
    ) -> Answer | AnswerStream:
        if meter is not None:
            meter.read = lambda: self.spent
        self.asked.append((call, body, version, request_id))
        self.headers = dict(headers or {})
        if meter is not None and self.prompt_tokens is not None:
            await meter.admit(self.prompt_tokens)
        return await self.reply(body)
