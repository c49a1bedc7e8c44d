"""A server that follows means what it is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lorabay.catalog.records import Record, Records
from lorabay.catalog.registry.adapter_state import AdapterState
from lorabay.catalog.registry.registry import Registry
from lorabay.catalog.registry.shared_names import GONE, Told
from lorabay.catalog.versions import Version
from lorabay.cluster.fronts.following import Following, read, write
from lorabay.cluster.fronts.unsettled import Unsettled
from lorabay.errors import EngineUnavailable, SetupError
from tests.cluster.fronts.made import Cluster, Loads
from tests.versions import BASE_NAMES, make_version

A, B = make_version("finance", "a"), make_version("finance", "b")
SHOP = make_version("shop", "c")


def told(*versions: Version) -> str | None:
    """What is told of a name whose live version is the first of some."""
    digests = tuple(version.digest for version in versions)
    return write(Told(record=Record(kept=digests), live=digests[0], state=AdapterState.READY))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    cluster = Cluster(tmp_path / "unused", tmp_path)
    for version in (A, B, SHOP):
        cluster.stored(version)
    registry = Registry(BASE_NAMES, Records(tmp_path / "records"))
    registry.last_run.restore(cluster.find)
    return registry


class Follower:
    def __init__(self, registry: Registry) -> None:
        self.loads, self.unsettled, self.rollouts = Loads(), Unsettled(), list[str]()
        self.following = Following(
            registry.shared,
            self.loads,
            self.unsettled,
            lambda name, flip: self.rollouts.append(name),
        )


async def test_a_successor_is_loaded_before_the_flip(registry: Registry) -> None:
    """And its predecessor leaves; a new name's version waits for its first request."""
    follower = Follower(registry)
    await follower.following.take_over({"finance": told(A)}, 1)
    assert (registry.live("finance"), follower.loads.loaded) == (A, [])
    await follower.following.take_over({"finance": told(B, A)}, 2)
    assert (registry.live("finance"), follower.loads.loaded) == (B, [B])
    assert follower.loads.retired == [A]
    assert follower.rollouts == ["finance", "finance"]
    await follower.following.take_over({"finance": None}, 3)
    assert registry.live("finance") is None
    assert follower.loads.retired == [A, B]


async def test_names_wait_until_their_change_is_settled(registry: Registry) -> None:
    """Only those that mean something else."""
    follower = Follower(registry)
    await follower.following.take_over({"finance": told(A)}, 1)
    assert follower.unsettled.has("finance")
    follower.unsettled.settle(1)
    await follower.following.take_over({"finance": told(A, B)}, 2)
    assert not follower.unsettled.has("finance")


async def test_a_version_that_cannot_be_loaded_now_is_meant_anyway(registry: Registry) -> None:
    """Its first request tries again, as all other servers answer with it."""
    follower = Follower(registry)

    async def refuse(version: Version) -> None:
        raise EngineUnavailable("the engine is restarting")

    follower.loads.load_beside = refuse  # type: ignore[method-assign]
    await follower.following.take_over({"finance": told(A)}, 1)
    await follower.following.take_over({"finance": told(B)}, 2)
    assert registry.live("finance") == B


async def test_what_a_newer_release_tells_is_understood_or_left(registry: Registry) -> None:
    """New fields are passed over; a name of which nothing is understood stays as it is."""
    follower = Follower(registry)
    newer = json.loads(told(A) or "")
    newer["record"]["of_a_newer_release"] = 1
    newer["new"] = 2
    assert await follower.following.take_over({"finance": json.dumps(newer)}, 1) == []
    assert registry.live("finance") == A
    for text in ("no JSON", '{"record": {"kept": 5}}', '{"state": "of a newer release"}'):
        assert read(text) is None
        assert await follower.following.take_over({"finance": text}, 2) == []
        assert registry.live("finance") == A
    assert read(None) == GONE
    assert write(GONE) is None


async def test_a_name_that_fails_keeps_no_other_from_its_meaning(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told, means what it did, and is tried again."""
    follower = Follower(registry)
    await follower.following.take_over({"finance": told(A), "shop": told(SHOP)}, 1)
    look_up = registry.shared.look_up

    def fail(name: str, *arguments: Any) -> Any:
        if name == "finance":
            raise SetupError("the store hangs")
        return look_up(name, *arguments)

    with monkeypatch.context() as hiccup:
        hiccup.setattr(registry.shared, "look_up", fail)
        news = {"finance": told(B, A), "shop": None}
        assert await follower.following.take_over(news, 2) == ["finance"]
    assert registry.live("finance") == A
    assert registry.live("shop") is None
    assert follower.unsettled.has("finance")
    assert await follower.following.take_over(news, 2) == []
    assert registry.live("finance") == B


async def test_versions_at_hand_are_not_asked_of_the_disk(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pin or the figures of a rollout are told often."""
    follower = Follower(registry)
    await follower.following.take_over({"finance": told(A, B)}, 1)
    monkeypatch.setattr(registry.shared, "look_up", None)
    assert await follower.following.take_over({"finance": told(B, A)}, 2) == []
    assert registry.live("finance") == B
