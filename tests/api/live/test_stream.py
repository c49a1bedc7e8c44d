"""The stream that a page follows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from lorabay.api.auth import OpenGate
from lorabay.api.live import stream
from lorabay.api.live.ring import SPAN_S, Ring
from lorabay.api.live.stream import EVENTS, Watched, follow
from tests.accounts.usage.made import a_record
from tests.clocks import Clock


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "TICK_S", 0.0)


class World:
    """What a stream tells of, and what happens in it at each tick."""

    def __init__(self) -> None:
        self.clock = Clock(1000)
        self.ring = Ring(self.clock)
        self.happened: list[dict[str, Any]] = [{"what": "before", "number": -1}]
        self.ticks = 0

    def watched(self) -> Watched:
        return Watched(
            self.ring,
            lambda: {"running": float(self.ticks)},
            lambda: {"count": 2, "held": ["finance"]},
            self.newest,
            lambda: False,
        )

    def newest(self, count: int) -> Sequence[dict[str, Any]]:
        return self.happened[: -count - 1 : -1]

    async def told(self, ticks: int, change: Any = lambda: None) -> list[tuple[str, Any]]:
        """Return the events of some ticks, before each of which `change` is made."""

        def may_follow() -> bool:
            self.ticks += 1
            change()
            return self.ticks <= ticks

        hour = [span.as_json() for span in self.ring.ended()]
        events = [event.decode() async for event in follow(self.watched(), hour, may_follow)]
        parts = [event.removeprefix("event: ").split("\ndata: ") for event in events]
        return [(kind, json.loads(data)) for kind, data in parts]


async def test_the_last_hour_comes_first_and_then_each_span() -> None:
    """A span is told once, when it has ended."""
    world = World()
    world.ring.add(a_record())
    world.clock.now += SPAN_S
    world.ring.turn()

    def turn() -> None:
        world.clock.now += SPAN_S
        world.ring.turn()

    told = await world.told(2, turn)
    [(first, hour), *rest] = told
    assert first == "hour"
    assert [span["at"] for span in hour["spans"]] == [1000]
    assert [data["at"] for kind, data in rest if kind == "span"] == [1010, 1020]


async def test_what_happens_is_told_in_its_order() -> None:
    """From now on, and only the newest of a flood."""
    world = World()

    def flood() -> None:
        first = len(world.happened)
        world.happened += [{"what": "pinned", "number": first + one} for one in range(10_000)]

    told = await world.told(1, flood)
    numbers = [data["number"] for kind, data in told if kind == "happened"]
    assert numbers == list(range(10_001 - EVENTS, 10_001))


async def test_gauges_and_slots_are_told() -> None:
    """At the first tick already."""
    told = dict(await World().told(1))
    assert told["now"] == {"gauges": {"running": 1.0}, "slots": {"count": 2, "held": ["finance"]}}


async def test_a_stream_ends_with_the_right_to_it() -> None:
    """The hour is told, and nothing more."""
    assert [kind for kind, _ in await World().told(0)] == ["hour"]


def test_both_paths_are_there() -> None:
    """For the table of paths."""
    paths = [
        getattr(route, "path", "")
        for route in stream.live_router(World().watched(), OpenGate()).routes
    ]
    assert paths == ["/admin/figures", "/admin/live"]
