"""The application on Ray Serve, as it is handed to Ray; tests/e2e/test_ray.py runs it."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from lorabay.cluster.ray_serve.application import DEPLOYMENT, Application, Cluster, Replica
from lorabay.cluster.replicas.engine_replica import EngineReplica, Room
from lorabay.cluster.replicas.outbox import Outboxes
from tests.fake_engine import FakeEngine


async def make(rank: int) -> EngineReplica:
    return EngineReplica(FakeEngine(), Room(capacity=2, slots=2))


def test_a_deployment_has_our_router_and_window() -> None:
    """Ray's defaults would take five requests at a time, and hear of replicas every ten seconds."""
    cluster = Cluster(replicas=3, window=64, cpus=2, gpus=0.5, drain_s=45)
    bound = Application(cluster, make)._bound()
    deployment = bound._bound_deployment
    assert deployment.name == DEPLOYMENT
    assert deployment.num_replicas == 3
    assert deployment.max_ongoing_requests == 64
    assert deployment.ray_actor_options == {"num_cpus": 2, "num_gpus": 0.5}

    config = deployment._deployment_config
    assert config.graceful_shutdown_timeout_s == 45
    assert config.request_router_config.request_routing_stats_period_s == 1
    assert "AdapterRouter" in str(config.request_router_config.request_router_class)


def test_replicas_come_and_go_with_the_load() -> None:
    """Between two numbers, by requests at once; without the larger one there is one number."""
    cluster = Cluster(replicas=2, window=64, most=6, wanted=24, idle_s=120)
    deployment = Application(cluster, make)._bound()._bound_deployment
    rule = deployment._deployment_config.autoscaling_config
    assert (rule.min_replicas, rule.max_replicas) == (2, 6)
    assert rule.target_ongoing_requests == 24
    assert rule.downscale_delay_s == 120
    assert rule.upscale_delay_s <= 60


@pytest.fixture
async def replica() -> Any:
    """What a replica has; Ray alone can make one, and awaits its `__del__`."""
    return SimpleNamespace(_replica=await make(0), _outboxes=Outboxes(), _told=0)


async def test_a_replica_ends_with_its_engine(
    replica: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would refuse each request at once, and be chosen because it has nothing to do."""
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    await replica._replica.engine.kill()
    await Replica._end_with_engine(replica)
    assert ended == [1]


async def test_a_replica_numbers_what_it_tells(replica: Any) -> None:
    """One that hangs tells nothing new."""
    told = [await Replica.record_routing_stats(replica) for _ in range(2)]
    assert [one["told"] for one in told] == [1, 2]
    assert told[0]["fronts"] == {}


@pytest.mark.parametrize(
    "method",
    ["answer", "facts", "forget", "pin", "prepare", "prepare_successor", "schemas"],
)
def test_what_a_front_calls_is_there(method: str) -> None:
    """Each is a method of the replica's, too."""
    assert hasattr(Replica, method)
    assert hasattr(EngineReplica, method)
