"""Mixtures: built once, exact, bounded, and made anew when a part is."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from lorabay.catalog.registry.leases import Lease
from lorabay.catalog.versions import Version
from lorabay.errors import EngineUnavailable, InvalidRequest
from lorabay.files.adapter_folder import WEIGHTS_FILE
from lorabay.reconcile.events import Actor
from lorabay.reconcile.mixtures import Changes, Mixtures, name_of
from lorabay.serving.residency import Residency
from tests import making
from tests.serving.bay import Bay
from tests.serving.mortal_engine import MortalEngine
from tests.versions import make_model


@pytest.fixture
def mixtures(bay: Bay, residency: Residency) -> Mixtures:
    return mixtures_of(bay)


def mixtures_of(bay: Bay, limit: int = 2, changes: Changes | None = None) -> Mixtures:
    ingest, changes = bay.reconciler.ingest, changes or bay.changes
    return Mixtures(bay.folder / "mixtures", ingest, bay.registry, changes, limit=limit)


@pytest.fixture
async def both(bay: Bay, residency: Residency) -> list[Version]:
    return [await bay.serve("one", 1), await bay.serve("two", 2)]


def changes(version: Version) -> dict[str, NDArray[np.float32]]:
    """Return what a version adds to each module of the base, by its stored factors."""
    tensors = making.load(version.path / WEIGHTS_FILE)
    scaling = version.spec.alpha / version.spec.rank
    return {
        name: scaling
        * making.values(tensors[name.replace("lora_A", "lora_B")])
        @ making.values(tensors[name])
        for name in tensors
        if "lora_A" in name
    }


async def test_a_mixture_is_the_weighted_sum(
    bay: Bay, mixtures: Mixtures, both: list[Version], engine: MortalEngine
) -> None:
    """Of the parts' changes, with the sum of their ranks; the engine has it when it is told."""
    name = await mixtures.served([(both[0], 4), (both[1], -6)])
    mixture = bay.live(name)
    assert mixture is not None
    assert mixture.spec.rank == 8
    assert mixture in engine.loaded

    one, two, mixed = changes(both[0]), changes(both[1]), changes(mixture)
    assert mixed.keys() == one.keys()
    for module, change in mixed.items():
        expected = 0.5 * one[module] - 0.75 * two[module]
        np.testing.assert_allclose(change, expected, rtol=1e-2, atol=1e-3)


async def test_it_is_built_once(bay: Bay, mixtures: Mixtures, both: list[Version]) -> None:
    """Also when several requests ask at the same time, in whatever order of the parts."""
    parts = [(both[0], 4), (both[1], 4)]
    names = await asyncio.gather(*(mixtures.served(order) for order in (parts, parts[::-1]) * 3))
    assert len(set(names)) == 1
    assert bay.happened(adapter=names[0]).count("added") == 1
    assert name_of(parts) != name_of([(both[0], 4), (both[1], 5)])


async def test_a_part_that_is_swapped_makes_another(
    bay: Bay, mixtures: Mixtures, both: list[Version]
) -> None:
    """The name follows from the parts' digests."""
    before = await mixtures.served([(both[0], 4), (both[1], 4)])
    newer = await bay.serve("one", 3)
    after = await mixtures.served([(newer, 4), (both[1], 4)])
    assert before != after
    assert bay.live(before) != bay.live(after)


async def test_a_few_are_kept(bay: Bay, mixtures: Mixtures, both: list[Version]) -> None:
    """The longest unused one goes, with its place in the store; what was built lies there alone."""
    first = await mixtures.served([(both[0], 1)])
    gone = bay.live(first)
    second = await mixtures.served([(both[0], 2)])
    bay.registry.acquire(second).release()
    third = await mixtures.served([(both[0], 3)])
    assert gone is not None
    assert [bay.live(name) is not None for name in (first, second, third)] == [False, True, True]
    assert not any((bay.folder / "mixtures").iterdir())
    assert gone.digest not in bay.in_store()
    assert await mixtures.served([(both[0], 1)]) == first


async def test_one_in_use_is_not_taken_away(
    bay: Bay, mixtures: Mixtures, both: list[Version]
) -> None:
    """While all are, another one has to wait."""
    names = [await mixtures.served([(both[0], eighths)]) for eighths in (1, 2)]
    leases = [bay.registry.acquire(name) for name in names]
    with pytest.raises(EngineUnavailable, match="in use"):
        await mixtures.served([(both[0], 3)])
    leases[0].release()
    await mixtures.served([(both[0], 3)])
    assert bay.live(names[0]) is None
    assert bay.live(names[1]) is not None


async def test_a_request_that_begins_while_it_goes_is_answered(
    bay: Bay, both: list[Version], residency: Residency
) -> None:
    """It was the longest unused one a moment ago; whoever comes next has it built again."""
    changes = AskedMeanwhile(bay)
    mixtures = mixtures_of(bay, limit=1, changes=changes)
    first = await mixtures.served([(both[0], 1)])
    await mixtures.served([(both[0], 2)])
    assert bay.live(first) is None

    (lease,) = changes.leases
    assert lease.version is not None
    await residency.ensure(lease.version)
    assert lease.version.digest in bay.in_store()
    lease.release()
    assert await mixtures.served([(both[0], 1)]) == first
    assert bay.live(first) == lease.version


class AskedMeanwhile:
    """An admin's changes; a request for what is to be withdrawn begins just before that is."""

    def __init__(self, bay: Bay) -> None:
        self.leases: list[Lease] = []
        self._bay = bay
        self.load, self.delete = bay.changes.load, bay.changes.delete

    async def withdraw(self, name: str, *, who: Actor) -> None:
        if not self.leases:
            self.leases.append(self._bay.registry.acquire(name))
        await self._bay.changes.withdraw(name, who=who)


async def test_two_servers_over_one_store(
    bay: Bay, mixtures: Mixtures, both: list[Version]
) -> None:
    """Both build the same mixture at the same time, and one that lets it go leaves the other's."""
    with bay.beside() as other:
        other.residency(MortalEngine(up=True))
        await other.look()
        others = mixtures_of(other)
        parts = [(version, 4) for version in both]
        name, same = await asyncio.gather(mixtures.served(parts), others.served(parts))
        assert name == same

        for eighths in (1, 2):
            await others.served([(both[0], eighths)])
        assert other.live(name) is None
        mixture = bay.live(name)
        assert mixture is not None
        assert (mixture.path / WEIGHTS_FILE).exists()
        assert await others.served(parts) == name


async def test_an_adapter_of_such_a_name_is_left_alone(
    bay: Bay, mixtures: Mixtures, both: list[Version]
) -> None:
    """A folder of the directory is nobody's mixture, whatever it is called."""
    await bay.serve("mix-0123456789ab", 3)
    for eighths in (1, 2, 3):
        await mixtures.served([(both[0], eighths)])
    assert bay.live("mix-0123456789ab") is not None


async def test_ranks_that_do_not_fit_are_told(
    bay: Bay, mixtures: Mixtures, both: list[Version]
) -> None:
    """With the option that takes them, before anything is built."""
    large = replace(both[1], spec=replace(both[1].spec, rank=14))
    with pytest.raises(InvalidRequest, match=r"one 4 \+ two 14 is 18.*max_lora_rank=32"):
        await mixtures.served([(both[0], 4), (large, 4)])
    with pytest.raises(InvalidRequest, match="whole model"):
        await mixtures.served([(both[0], 4), (make_model("bank"), 4)])
    assert not (bay.folder / "mixtures").exists()


async def test_it_outlives_a_restart(
    bay: Bay, mixtures: Mixtures, both: list[Version], engine: MortalEngine
) -> None:
    """And counts for the limit afterwards."""
    parts = [(both[0], 4), (both[1], 4)]
    name = await mixtures.served(parts)
    await bay.restarted(engine)
    again = mixtures_of(bay, limit=1)
    assert await again.served(parts) == name
    await again.served([(both[0], 4)])
    assert bay.live(name) is None
