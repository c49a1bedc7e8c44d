"""Ray's router with our choice in it, on replicas that only tell what they hold."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve._private.common import DeploymentHandleSource, DeploymentID
from ray.serve.request_router import ReplicaID

from lorabay.cluster.choice.choice import Wish
from lorabay.cluster.ray_serve.router import AdapterRouter
from tests.cluster.choice.made import digests

APP = DeploymentID("engine", "lorabay")
HOT, COLD = digests(2)


def replica(name: str, *held: str, places: int = 4) -> Any:
    """A replica that has told what it holds."""
    return SimpleNamespace(
        replica_id=ReplicaID(name, APP),
        routing_stats={"held": list(held), "running": {}, "places": places, "window": 8},
    )


def request(key: str, number: int = 0) -> Any:
    """A call whose first argument has a wish."""
    return SimpleNamespace(
        args=[SimpleNamespace(wish=Wish(key, f"session {number}"))],
        metadata=SimpleNamespace(internal_request_id=f"r{number}"),
    )


@pytest.fixture
def router() -> AdapterRouter:
    made = AdapterRouter(
        deployment_id=APP,
        handle_source=DeploymentHandleSource.REPLICA,
        use_replica_queue_len_cache=True,
    )
    made.initialize_state()
    return made


async def chosen(router: AdapterRouter, replicas: list[Any], asked: Any) -> str:
    ranks = await router.choose_replicas(replicas, asked)
    assert sorted(one.replica_id.unique_id for rank in ranks for one in rank) == sorted(
        one.replica_id.unique_id for one in replicas
    )
    return str(ranks[0][0].replica_id.unique_id)


async def test_a_request_goes_where_its_weights_are(router: AdapterRouter) -> None:
    """All others follow by their loads, in case that one takes none."""
    replicas = [replica("a"), replica("b", COLD), replica("c")]
    assert {await chosen(router, replicas, request(COLD, n)) for n in range(3)} == {"b"}


async def test_what_was_sent_counts_before_the_replica_tells(router: AdapterRouter) -> None:
    """A new adapter is loaded once, although replicas tell only every second."""
    replicas = [replica(name) for name in "abc"]
    assert len({await chosen(router, replicas, request(COLD, n)) for n in range(3)}) == 1


async def test_a_load_that_takes_long_is_not_begun_elsewhere(router: AdapterRouter) -> None:
    """The replica tells nothing of the weights yet, and they were sent a while ago."""
    replicas = [replica(name) for name in "abcd"]
    for number, one in enumerate(replicas):
        asked = request(COLD, number)
        router.on_request_routed(asked, one.replica_id, None)  # type: ignore[arg-type]
        router._sent.clear()
        assert await chosen(router, replicas, request(COLD, 9)) == one.replica_id.unique_id
        router.on_request_completed(one.replica_id, f"r{number}")


async def test_a_busy_replica_gives_to_others(router: AdapterRouter) -> None:
    """What is under way from here counts, until it is completed."""
    replicas = [replica("a", HOT), replica("b")]
    for number in range(4):
        asked = request(HOT, number)
        router.on_request_routed(asked, replicas[0].replica_id, None)  # type: ignore[arg-type]
    assert await chosen(router, replicas, request(HOT, 9)) == "b"

    for number in range(4):
        router.on_request_completed(replicas[0].replica_id, f"r{number}")
    router._sent.clear()
    assert await chosen(router, replicas, request(HOT, 9)) == "a"


async def test_many_at_the_same_moment_are_shared_out(router: AdapterRouter) -> None:
    """Each counts from the moment of its choice, before any of them has arrived."""
    replicas = [replica("a", HOT, COLD), replica("b", HOT, COLD)]
    names = [
        await chosen(router, replicas, request((HOT, COLD)[number % 2], number))
        for number in range(16)
    ]
    assert (names.count("a"), names.count("b")) == (8, 8)


async def test_requests_of_other_fronts_count(router: AdapterRouter) -> None:
    """As the replica told last; ours among them are counted once."""
    one, other = replica("a", HOT), replica("b")
    one.routing_stats["answering"] = 3
    ours = request(HOT, 0)
    router.on_request_routed(ours, one.replica_id, None)  # type: ignore[arg-type]
    assert router._load(one) == 3

    router.on_request_completed(one.replica_id, "r0")
    assert (router._load(one), router._load(other)) == (2, 0)
    one.routing_stats = {**one.routing_stats, "answering": 0}
    assert router._load(one) == 0


async def test_what_wishes_nothing_goes_anywhere(router: AdapterRouter) -> None:
    """Calls of other methods have no wish, and no arguments."""
    bare = SimpleNamespace(args=[], metadata=SimpleNamespace(internal_request_id="r"))
    assert await chosen(router, [replica("a"), replica("b")], bare) in "ab"
    assert await router.choose_replicas([], bare) == []
