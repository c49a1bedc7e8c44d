"""What routers read of a server: residency as it is, by the names and labels that they look for."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from lorabay.api.measuring.exposition import TEXT
from lorabay.api.measuring.metrics_page import Pages
from lorabay.api.measuring.series import Series
from lorabay.base.shapes import BaseShapes
from lorabay.catalog.versions import Version
from lorabay.serving.admin import Operations
from lorabay.serving.engine import Slots
from lorabay.serving.manager import AdapterManager
from tests.endpoint_picker import Score, affinity, load_state, pick, read
from tests.serving.bay import Bay
from tests.serving.mortal_engine import MortalEngine

NAMES = tuple(f"adapter-{number}" for number in range(8))
SLOTS = 4


class SlottedEngine(MortalEngine):
    """An engine whose last loads are in its slots, which is what batches of them would do."""

    def slots(self) -> Slots | None:
        loads = [step.removeprefix("load ") for step in self.ended if step.startswith("load ")]
        newest = list(dict.fromkeys(reversed(loads)))
        by_id = {version.id: version.weights for version in self.loaded}
        held = [by_id[name] for name in newest if name in by_id][:SLOTS]
        return Slots(frozenset(held), SLOTS)


class Server:
    """One server without a model: what it shows to routers and to administrators."""

    def __init__(self, folder: Path, shapes: BaseShapes, *, capacity: int) -> None:
        folder.mkdir()
        self.bay = Bay(folder, shapes)
        for number, name in enumerate(NAMES):
            self.bay.put(name, number + 1)
        self.manager: AdapterManager = self.bay.manager(
            SlottedEngine(), capacity=capacity, preload=0
        )
        self.admin = Operations(self.manager, self.bay.reconciler)

    async def start(self) -> None:
        await self.bay.reconciler.read_directory()
        await self.manager.start()

    async def stop(self) -> None:
        await self.manager.stop()
        self.bay.store.close()

    async def load(self, name: str) -> None:
        """Bring an adapter into the engine, at the cost of another if need be."""
        await self.manager.weights.ensure(self._live(name))

    async def drop(self, name: str) -> None:
        """Take an adapter out of the engine."""
        await self.manager.residency.drop(self._live(name))

    def _live(self, name: str) -> Version:
        version = self.bay.live(name)
        assert version is not None
        return version

    async def page(self) -> str:
        """Return the page of metrics, made anew."""
        pages = Pages(TEXT, Series(self.bay.metrics.registry), CollectorRegistry())
        return (await pages.read()).text.decode()


@pytest.fixture
async def servers(tmp_path: Path, shapes: BaseShapes) -> AsyncIterator[dict[str, Server]]:
    """Two servers over the same adapters, each with room for half of them."""
    made = {name: Server(tmp_path / name, shapes, capacity=SLOTS) for name in ("one", "two")}
    for server in made.values():
        await server.start()
    yield made
    for server in made.values():
        await server.stop()


@pytest.mark.parametrize("score", [affinity, load_state])
async def test_a_router_finds_the_server_that_holds_the_adapter(
    servers: dict[str, Server], score: Score
) -> None:
    """A hundred times an adapter is on one of two servers, idle, and both kinds of scores find it,
    whether the other server has a free slot or none.
    """
    chance = random.Random(7)
    found = 0
    for _ in range(100):
        adapter = chance.choice(NAMES)
        holder, other = chance.sample(sorted(servers), 2)
        await servers[other].drop(adapter)
        for _ in range(chance.randrange(3)):
            await servers[other].load(chance.choice([name for name in NAMES if name != adapter]))
        await servers[holder].load(adapter)

        pages = {name: await server.page() for name, server in servers.items()}
        found += pick(pages, adapter, score) == holder
    assert found == 100


async def test_the_gauges_are_what_administrators_see(tmp_path: Path, shapes: BaseShapes) -> None:
    """After each of a hundred loads, which evict others, residency is the same on both sides, and
    the numbers are those of the names.
    """
    server = Server(tmp_path / "one", shapes, capacity=5)
    await server.start()
    chance = random.Random(11)
    server.bay.registry.set_pinned(NAMES[0], True)
    for _ in range(100):
        await server.load(chance.choice(NAMES))

        seen = read(await server.page())
        described = server.admin.adapters()
        resident = {
            one["name"]
            for one in described
            if any(version["live"] and version["level"] == "engine" for version in one["versions"])
        }
        assert set(seen.levels) == resident
        assert seen.pinned == {one["name"] for one in described if one["pinned"]} & resident
        in_slots = {name for name, level in seen.levels.items() if level == "gpu"}
        assert seen.active == in_slots
        assert (seen.taken, seen.slots) == (len(in_slots), SLOTS)

    evictions = [
        sample.value
        for family in server.bay.metrics.registry.collect()
        for sample in family.samples
        if sample.name == "lorabay_adapter_evictions_total"
    ]
    assert sum(evictions) > 10
    await server.stop()


async def test_nothing_is_said_while_there_is_no_engine(tmp_path: Path, shapes: BaseShapes) -> None:
    """A router then takes the server for one that does not tell, and not for an empty one."""
    server = Server(tmp_path / "one", shapes, capacity=5)
    await server.bay.reconciler.read_directory()
    server.manager.engine.slots = lambda: None  # type: ignore[method-assign]
    assert not [line for line in (await server.page()).splitlines() if line.startswith("vllm:")]
    await server.stop()
