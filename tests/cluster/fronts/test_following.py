"""A server that follows means what it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.catalog.records import Record, Records
from lorabay.catalog.registry.adapter_state import AdapterState
from lorabay.catalog.registry.registry import Registry
from lorabay.catalog.registry.shared_names import GONE, Told
from lorabay.catalog.versions import Version
from lorabay.cluster.fronts.following import Following, read, write
from lorabay.cluster.fronts.unsettled import Unsettled
from lorabay.errors import EngineUnavailable
from tests.cluster.fronts.made import Cluster, Loads
from tests.versions import BASE_NAMES, make_version

A, B = make_version("finance", "a"), make_version("finance", "b")


def told(*versions: Version) -> str | None:
    """What is told of a name whose live version is the first of some."""
    digests = tuple(version.digest for version in versions)
    return write(Told(record=Record(kept=digests), live=digests[0], state=AdapterState.READY))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    cluster = Cluster(tmp_path / "unused", tmp_path)
    for version in (A, B):
        cluster.stored(version)
    registry = Registry(BASE_NAMES, Records(tmp_path / "records"))
    registry.last_run.restore(cluster.find)
    return registry


class Follower:
    def __init__(self, registry: Registry) -> None:
        self.loads, self.unsettled, self.rollouts = Loads(), Unsettled(), list[str]()
        self.following = Following(
            registry.shared, self.loads, self.unsettled, self.rollouts.append
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


@pytest.mark.parametrize("text", [None, "no JSON", '{"record": {"kept": 5}}'])
def test_what_is_not_understood_counts_as_gone(text: str | None) -> None:
    """A newer release may have written it."""
    assert read(text) == GONE
    assert write(GONE) is None
