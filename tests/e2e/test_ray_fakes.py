"""Fake engines on a real Ray: our choice beside Ray's multiplexing, and a front that comes back.

Runs with `--ray`. Engines are fakes, which load and answer in twentieths of a second; the cluster,
its routers and what they learn late are real.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from ray import serve

from lorabay.catalog.versions import Version
from lorabay.cluster.ray_serve.application import Application, Cluster
from lorabay.cluster.ray_serve.line import RayLine
from lorabay.cluster.replicas.engine_replica import EngineReplica, Room
from lorabay.cluster.replicas.replicas_engine import ReplicasEngine
from lorabay.errors import EngineUnavailable, RequestRefused, SetupError
from lorabay.serving.engine import CHAT, AdapterRoom, Answer, Body
from lorabay.serving.supervision.supervisor import SupervisedEngine
from lorabay.serving.supervision.suspects import Suspects
from tests.fake_engine import FakeEngine
from tests.fake_stream import USAGE
from tests.versions import make_version

pytestmark = pytest.mark.timeout(600)

ADAPTERS, PLACES, STREAMS, REQUESTS = 8, 4, 8, 400
STEP_S = 0.05
Ask = Callable[[int, int], Awaitable[object]]
"""Asks for an adapter with a request's number."""


async def answer(body: Body) -> Answer:
    await asyncio.sleep(STEP_S)
    return Answer(b"{}", USAGE)


class SlowEngine(FakeEngine):
    """An engine whose loads take as long as its answers, and are counted."""

    max_sequences = 16
    loads = 0

    async def load(self, version: Version) -> None:
        self.loads += 1
        await asyncio.sleep(STEP_S)
        await super().load(version)


class CountedReplica(EngineReplica):
    """A replica that says how often its engine has loaded."""

    def __init__(self, engine: SlowEngine) -> None:
        super().__init__(engine, Room(capacity=PLACES, slots=PLACES))
        self._counted = engine

    def stats(self) -> dict[str, Any]:
        return super().stats() | {"loads": self._counted.loads}


class EngineThatDies(FakeEngine):
    """An engine that some requests kill, alone or with its whole replica."""

    def __init__(self) -> None:
        super().__init__(self.die_or_answer)

    async def die_or_answer(self, body: Body) -> Answer:
        await asyncio.sleep(STEP_S)
        match body["prompt"]:
            case "engine":
                await self.stop()
                await self.kill()
                self.check()
            case "replica":
                os._exit(1)
        return await answer(body)


async def make_mortal(rank: int) -> EngineReplica:
    replica = EngineReplica(EngineThatDies(), Room(capacity=PLACES, slots=PLACES))
    await replica.start()
    return replica


async def make(rank: int) -> EngineReplica:
    return CountedReplica(SlowEngine(answer))


class Stock:
    """A replica that Ray multiplexes, and that counts its loads."""

    def __init__(self) -> None:
        self._loads = 0

    @serve.multiplexed(max_num_models_per_replica=PLACES)
    async def model(self, name: str) -> str:
        self._loads += 1
        await asyncio.sleep(STEP_S)
        return name

    async def answer(self) -> None:
        await self.model(serve.get_multiplexed_model_id())
        await asyncio.sleep(STEP_S)

    async def loads(self) -> int:
        return self._loads


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """A Ray cluster of this run's own."""
    import ray

    ray.init(num_cpus=5, include_dashboard=False, log_to_driver=False)
    serve.start(proxy_location="Disabled")
    yield
    serve.shutdown()
    ray.shutdown()


def drawn(seed: int) -> list[int]:
    """Adapters by Zipf's law."""
    weights = 1 / np.arange(1, ADAPTERS + 1)
    chance = np.random.default_rng(seed)
    return [int(n) for n in chance.choice(ADAPTERS, size=REQUESTS, p=weights / weights.sum())]


async def drive(ask: Ask, adapters: Sequence[int]) -> None:
    """Ask for all of them, so many at a time."""
    room = asyncio.Semaphore(STREAMS)

    async def one(number: int, adapter: int) -> None:
        async with room:
            await ask(adapter, number)

    await asyncio.gather(*(one(number, adapter) for number, adapter in enumerate(adapters)))


async def ours(adapters: Sequence[int]) -> int:
    """How often our replicas have loaded."""
    cluster = Cluster(replicas=2, window=32, name="ours")
    engine = ReplicasEngine(RayLine(Application(cluster, make)))
    versions = [make_version(f"adapter-{n}", str(n)) for n in range(ADAPTERS)]
    await engine.start()

    async def ask(adapter: int, number: int) -> object:
        body = {"model": f"adapter-{adapter}", "prompt": f"number {number}"}
        return await engine.run(CHAT, body, versions[adapter], request_id=str(number))

    await drive(ask, adapters)
    told = await engine._line.tell_all("record_routing_stats")
    await engine.stop()
    assert sum(one["asked"] for one in told) == REQUESTS
    return sum(one["loads"] for one in told)


async def stock(adapters: Sequence[int]) -> int:
    """How often Ray's multiplexing has loaded."""
    deployment: Any = serve.deployment(Stock).options(num_replicas=2, max_ongoing_requests=32)
    handle = await asyncio.to_thread(serve.run, deployment.bind(), name="stock", route_prefix=None)

    async def ask(adapter: int, number: int) -> object:
        named = handle.options(method_name="answer", multiplexed_model_id=f"adapter-{adapter}")
        return await named.remote()

    await drive(ask, adapters)
    loads: list[int] = await handle.broadcast("loads").results_async()
    await asyncio.to_thread(serve.delete, "stock")
    return sum(loads)


@pytest.mark.usefixtures("ray_here")
async def test_half_of_the_loads_of_rays_multiplexing(figures: list[str]) -> None:
    """Eight adapters, room for four in each of two replicas, in turns, twice."""
    rounds = [(await stock(drawn(seed)), await ours(drawn(seed))) for seed in range(2)]
    figures.append(
        f"{REQUESTS} requests for {ADAPTERS} adapters over two replicas with room for {PLACES}: "
        f"loads by Ray's multiplexing and ours {rounds}"
    )
    assert all(own <= 0.5 * others for others, own in rounds)


@pytest.mark.usefixtures("ray_here")
async def test_a_front_that_comes_back_finds_its_replicas() -> None:
    """The same processes, if it wants the same engines; other ones if not. More of the same are
    added.
    """

    async def pids(made_of: str, replicas: int = 1) -> set[int]:
        cluster = Cluster(replicas=replicas, window=8, name="again", made_of=made_of)
        line = RayLine(Application(cluster, make))
        await line.open()
        return {one["pid"] for one in await line.tell_all("record_routing_stats")}

    first = await pids("this")
    assert await pids("this") == first
    assert first <= await pids("this", replicas=2)
    assert first.isdisjoint(await pids("that"))
    await asyncio.to_thread(serve.delete, "again")


@pytest.mark.usefixtures("ray_here")
async def test_replicas_without_a_place_are_given_up() -> None:
    """Nothing of them is left, so that the end of the server is one."""
    cluster = Cluster(replicas=1, window=8, name="nowhere", gpus=1, place_s=3, drain_s=1)
    line = RayLine(Application(cluster, make))
    with pytest.raises(SetupError, match="1 of them found no place within 3 s"):
        await line.open()
    await line.close()
    assert "nowhere" not in serve.status().applications


@pytest.mark.usefixtures("ray_here")
@pytest.mark.parametrize("what", ["engine", "replica"])
async def test_a_request_that_kills_two_replicas_is_refused(what: str) -> None:
    """Whether its engine dies or all of it; the front knows how many are left and come again."""
    cluster = Cluster(replicas=2, window=8, name="mortal", drain_s=1)
    line = RayLine(Application(cluster, make_mortal))
    engine = SupervisedEngine(ReplicasEngine(line), suspects=Suspects())
    await engine.start()

    async def ask_for(prompt: str) -> None:
        await engine.run(CHAT, {"model": "base", "prompt": prompt}, None, request_id="r")

    async def has_room_of(replicas: int) -> None:
        while engine.adapter_room != AdapterRoom(replicas * PLACES, replicas * PLACES):
            await asyncio.sleep(0.1)

    for _ in range(2):
        await has_room_of(2)
        with pytest.raises(EngineUnavailable):
            await ask_for(what)
        await has_room_of(1)
    await has_room_of(2)
    with pytest.raises(RequestRefused):
        await ask_for(what)
    await ask_for("something else")
    await engine.stop()
