"""Our choice beside Ray's multiplexing on real engines: how often weights are loaded.

Runs with `--ray`. Two replicas of each kind are up together on one Ray, and take turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray import serve

from lorabay.base.find import BaseFolder, find_base
from lorabay.catalog.names import AdapterName
from lorabay.catalog.versions import AdapterSpec, Digest, Version
from lorabay.cluster.ray_serve import environment
from lorabay.cluster.ray_serve.application import Application, Cluster
from lorabay.cluster.ray_serve.line import RayLine
from lorabay.cluster.replicas.engine_replica import EngineReplica
from lorabay.cluster.replicas.replicas_engine import ReplicasEngine
from lorabay.server.replicas import make_replica
from lorabay.serving.engine import COMPLETIONS, Answer
from lorabay.settings import Settings
from tests.e2e.conftest import REPOSITORY
from tests.e2e.test_ray import copy_of

pytestmark = pytest.mark.timeout(1500)

ADAPTERS, PLACES, STREAMS, REQUESTS, ROUNDS = 8, 4, 8, 400, 3
OPTIONS = {
    "dtype": "float32",
    "max_model_len": 512,
    "max_num_seqs": 16,
    "enforce_eager": True,
    "max_loras": PLACES,
    "max_cpu_loras": PLACES + 1,
    "max_lora_rank": 16,
}


@dataclass(frozen=True)
class Made:
    """What both kinds of replicas are made of."""

    base: BaseFolder
    settings: Settings

    async def replica(self, rank: int) -> EngineReplica:
        """A replica whose `stats` tell how often its engine was asked to load."""
        replica = await make_replica(rank, base=self.base, options=OPTIONS, settings=self.settings)
        engine: Any = replica.engine
        load, stats = engine.load, replica.stats
        loads = 0

        async def counted(version: Version) -> None:
            nonlocal loads
            loads += 1
            await load(version)

        engine.load = counted
        replica.stats = lambda: stats() | {"loads": loads}  # type: ignore[method-assign]
        return replica


class Stock:
    """A replica that Ray multiplexes over the same engine."""

    async def __init__(self, made: Made) -> None:  # type: ignore[misc]
        rank = serve.get_replica_context().rank
        self._replica = await made.replica(rank.local_rank)
        self._versions: dict[str, Version] = {}

    @serve.multiplexed(max_num_models_per_replica=PLACES)
    async def model(self, name: str) -> str:
        await self._replica.engine.load(self._versions[name])
        return name

    async def answer(self, version: Version, body: Mapping[str, Any], number: int) -> None:
        name = serve.get_multiplexed_model_id()
        self._versions[name] = version
        await self.model(name)
        await self._replica.engine.run(COMPLETIONS, body, version, request_id=str(number))

    async def loads(self) -> int:
        return int(self._replica.stats()["loads"])


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> list[list[Version]]:
    """Eight adapters for each round: copies of one, each with weights of its own by a hair."""
    folder = tmp_path_factory.mktemp("stock")
    return [
        [made_version(folder, number * ADAPTERS + adapter) for adapter in range(ADAPTERS)]
        for number in range(ROUNDS)
    ]


def made_version(parent: Path, number: int) -> Version:
    folder = parent / str(number)
    copy_of(REPOSITORY / "adapters" / "finance", folder, 1 + number / 64)
    size = (folder / "adapter_model.safetensors").stat().st_size
    digest = Digest(sha256(str(number).encode()).hexdigest())
    spec = AdapterSpec(digest, "lora", 16, 32.0, (), "float32", size)
    return Version(AdapterName(f"adapter-{number}"), spec, folder)


@pytest.fixture(scope="module")
def made(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """Ray, and what replicas on it are made of."""
    import ray

    environment.prepare()
    ray.init(num_cpus=5, include_dashboard=False, log_to_driver=False)
    serve.start(proxy_location="Disabled")
    folder = tmp_path_factory.mktemp("stock-settings")
    settings = Settings.model_validate(
        {"base": str(base_folder), "adapters": [str(folder)], "cpu_kv_cache_gib": 1}
    )
    yield Made(find_base(str(base_folder)), settings)
    serve.shutdown()
    ray.shutdown()


def drawn(seed: int) -> list[int]:
    """Adapters by Zipf's law."""
    weights = 1 / np.arange(1, ADAPTERS + 1)
    chance = np.random.default_rng(seed)
    return [int(n) for n in chance.choice(ADAPTERS, size=REQUESTS, p=weights / weights.sum())]


def asked(version: Version, number: int) -> dict[str, Any]:
    return {"model": str(version.adapter), "prompt": f"Number {number}", "max_tokens": 4}


async def test_half_of_the_loads_of_rays_multiplexing(
    made: Made, versions: list[list[Version]], figures: list[str]
) -> None:
    """Eight adapters by Zipf, room for four in each of two replicas, in turns, each round cold.

    Each adapter must be loaded once. What goes beyond that is a matter of choice.
    """
    cluster = Cluster(replicas=2, window=32, name="ours")
    ours = ReplicasEngine(RayLine(Application(cluster, made.replica)))
    await ours.start()
    deployment: Any = serve.deployment(Stock).options(num_replicas=2, max_ongoing_requests=32)
    bound = deployment.bind(made)
    stock = await asyncio.to_thread(serve.run, bound, name="stock", route_prefix=None)
    room = asyncio.Semaphore(STREAMS)

    async def ask_ours(version: Version, number: int) -> None:
        async with room:
            body = asked(version, number)
            answer = await ours.run(COMPLETIONS, body, version, request_id=str(number))
            assert isinstance(answer, Answer)

    async def ask_stock(version: Version, number: int) -> None:
        async with room:
            named = stock.options(method_name="answer", multiplexed_model_id=str(version.adapter))
            await named.remote(version, asked(version, number), number)

    async def loads_of_ours() -> int:
        told = await ours._line.tell_all("record_routing_stats")
        return sum(one["loads"] for one in told)

    async def loads_of_stock() -> int:
        return sum(await stock.broadcast("loads").results_async())

    async def turn(ask: Any, loads: Any, seed: int) -> int:
        before = await loads()
        await asyncio.gather(
            *(ask(versions[seed][adapter], number) for number, adapter in enumerate(drawn(seed)))
        )
        return int(await loads() - before)

    rounds = [
        (await turn(ask_stock, loads_of_stock, seed), await turn(ask_ours, loads_of_ours, seed))
        for seed in range(ROUNDS)
    ]
    figures.append(
        f"ray, real engines: {REQUESTS} requests for {ADAPTERS} adapters over two replicas with "
        f"room for {PLACES}: loads by Ray's multiplexing and ours {rounds}"
    )
    await ours.stop()
    await asyncio.to_thread(serve.delete, "stock")
    beyond_stock, beyond_ours = (
        sum(loads) - ROUNDS * ADAPTERS for loads in zip(*rounds, strict=True)
    )
    assert beyond_ours <= beyond_stock / 2
