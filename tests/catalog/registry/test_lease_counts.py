"""Leases are counted by version and by weights, and the last one is heard of."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from lorabay.catalog.registry.adapter_state import Adapter
from lorabay.catalog.registry.lease_counts import LeaseCounts
from lorabay.catalog.versions import Version
from tests.catalog.registries import A, B


@pytest.fixture
def idle() -> list[Version]:
    return []


@pytest.fixture
def counts(idle: list[Version]) -> LeaseCounts:
    return LeaseCounts({"finance": Adapter()}, fell_idle=idle.append)


def test_leases_are_counted_by_version_and_by_weights(counts: LeaseCounts) -> None:
    """Versions that share weights are told apart, and added up."""
    sharing = replace(B, spec=replace(B.spec, weights_digest=A.digest))
    first, second = counts.take(A), counts.take(sharing)
    assert (counts.on(A), counts.on(sharing), counts.on_weights(A.digest)) == (1, 1, 2)
    first.release()
    assert (counts.on(A), counts.on(sharing), counts.on_weights(A.digest)) == (0, 1, 1)
    second.release()
    assert counts.on_weights(A.digest) == 0


def test_the_counter_is_empty_when_the_last_release_is_heard_of() -> None:
    """Whoever is called looks there."""
    adapter, seen = Adapter(), []
    counts = LeaseCounts(
        {"finance": adapter}, fell_idle=lambda _: seen.append(dict(adapter.leases))
    )
    first, second = counts.take(A), counts.take(A)
    first.release()
    assert not seen
    second.release()
    assert seen == [{}]


def test_an_unknown_adapter_has_no_leases(counts: LeaseCounts) -> None:
    """A name may be forgotten while somebody still asks."""
    assert counts.on(replace(A, adapter="shop")) == 0


async def test_whoever_waits_wakes_at_the_last_release(
    counts: LeaseCounts, idle: list[Version]
) -> None:
    """Not before, and nobody waits for what is not held."""
    await counts.idle(A)
    first, second = counts.take(A), counts.take(A)
    waiting = asyncio.create_task(counts.idle(A))
    await asyncio.sleep(0)
    first.release()
    await asyncio.sleep(0)
    assert not waiting.done()
    second.release()
    await waiting
    assert idle == [A]
