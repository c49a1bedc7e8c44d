"""Ray's router with our choice in it, on replicas that only tell what they hold."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve._private.common import DeploymentHandleSource, DeploymentID
from ray.serve.request_router import ReplicaID

from lorabay.cluster.choice.choice import Wish
from lorabay.cluster.choice.outlook import REMEMBERED_S, SILENT_S
from lorabay.cluster.ray_serve.router import AdapterRouter
from lorabay.cluster.replicas.frames import FrontAddress, ReplyTo
from lorabay.cluster.replicas.messages import Question
from tests.cluster.choice.made import digests

APP = DeploymentID("engine", "lorabay")
HOT, COLD = digests(2)
HERE, OTHER = FrontAddress("10.0.0.1", 1, b""), FrontAddress("10.0.0.2", 1, b"")


def replica(name: str, *held: str, places: int = 4) -> Any:
    """A replica that has told what it holds."""
    return SimpleNamespace(
        replica_id=ReplicaID(name, APP),
        routing_stats={"held": list(held), "running": {}, "places": places, "window": 8},
    )


def request(key: str, number: int = 0) -> Any:
    """A call of this front."""
    wish = Wish(key, f"session {number}")
    return SimpleNamespace(
        args=[
            Question(wish, "completions", {}, None, f"r{number}", {}, goes_first=False),
            ReplyTo(HERE, number),
        ],
        metadata=SimpleNamespace(internal_request_id=f"r{number}"),
        routing_context=SimpleNamespace(should_backoff=False),
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


async def test_a_load_that_takes_long_is_not_begun_elsewhere(
    router: AdapterRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replica tells nothing of the weights yet, and they were sent a while ago."""
    replicas = [replica(name) for name in "abcd"]
    now = 0.0
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr("lorabay.cluster.ray_serve.router.time", clock)
    for number, one in enumerate(replicas):
        asked = request(COLD, number)
        router.on_request_routed(asked, one.replica_id, None)  # type: ignore[arg-type]
        assert await chosen(router, replicas, request(COLD, 9)) == one.replica_id.unique_id
        router.on_request_completed(one.replica_id, f"r{number}")
        now += REMEMBERED_S


async def test_a_busy_replica_gives_to_others(router: AdapterRouter) -> None:
    """What is under way from here counts, until it is completed."""
    replicas = [replica("a", HOT), replica("b")]
    for number in range(6):
        asked = request(HOT, number)
        router.on_request_routed(asked, replicas[0].replica_id, None)  # type: ignore[arg-type]
    assert await chosen(router, replicas, request(HOT, 9)) == "b"

    for number in range(6):
        router.on_request_completed(replicas[0].replica_id, f"r{number}")
    router.on_request_completed(replicas[1].replica_id, "r9")
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
    """As the replica told last; what it tells of ours is old."""
    one, other = replica("a", HOT), replica("b", HOT)
    one.routing_stats["fronts"] = {OTHER.name: 8}
    other.routing_stats["fronts"] = {HERE.name: 8}
    names = [await chosen(router, [one, other], request(HOT, number)) for number in range(3)]
    assert names == ["b", "b", "b"]


async def test_a_silent_replica_comes_last(
    router: AdapterRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the weights, and has nothing to do: it hangs, or is cut off."""
    now = 0.0
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr("lorabay.cluster.ray_serve.router.time", clock)
    hung, other, third = replicas = [replica("a", HOT), replica("b"), replica("c")]
    assert await chosen(router, replicas, request(HOT)) == "a"
    now = SILENT_S
    for one in (other, third):
        one.routing_stats["told"] = 1
    ranks = await router.choose_replicas(replicas, request(HOT, 1))
    assert ranks[-1] == [hung]


async def test_ray_pauses_before_it_asks_again(router: AdapterRouter) -> None:
    """While all replicas refuse."""
    asked = request(HOT)
    await chosen(router, [replica("a")], asked)
    assert asked.routing_context.should_backoff


async def test_many_after_many_are_shared_out_again(router: AdapterRouter) -> None:
    """All of the first have ended, and one replica has told so already."""
    replicas = [replica("a", HOT, COLD), replica("b", HOT, COLD)]
    replicas[0].routing_stats["fronts"] = {HERE.name: 8}
    names = [
        await chosen(router, replicas, request((HOT, COLD)[number % 2], number))
        for number in range(16)
    ]
    assert (names.count("a"), names.count("b")) == (8, 8)


async def test_what_wishes_nothing_goes_anywhere(router: AdapterRouter) -> None:
    """Calls of other methods have no wish, and no arguments."""
    bare = request(HOT)
    bare.args = []
    assert await chosen(router, [replica("a"), replica("b")], bare) in "ab"
    assert await router.choose_replicas([], bare) == []
