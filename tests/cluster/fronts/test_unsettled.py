"""Requests wait for names that change, and for no others."""

from __future__ import annotations

import asyncio

import pytest

from lorabay.cluster.fronts.unsettled import Unsettled
from lorabay.errors import EngineUnavailable

BASES = ("tiny", "org/tiny")


async def is_through(unsettled: Unsettled, model: str) -> bool:
    """Whether a request for a model goes on at once."""
    waiting = asyncio.create_task(unsettled.wait(model))
    await asyncio.wait({waiting}, timeout=0.02)
    is_through = waiting.done()
    waiting.cancel()
    return is_through


@pytest.fixture
def unsettled() -> Unsettled:
    unsettled = Unsettled(BASES)
    unsettled.joined()
    return unsettled


@pytest.mark.parametrize("model", ["finance", "finance@canary", "tiny:finance", "org/tiny:finance"])
async def test_a_name_waits_until_its_change_is_settled(unsettled: Unsettled, model: str) -> None:
    """However a request spells it."""
    unsettled.hold(["finance"], 7)
    assert not await is_through(unsettled, model)
    assert await is_through(unsettled, "shop")
    unsettled.settle(6)
    assert not await is_through(unsettled, model)
    unsettled.settle(7)
    assert await is_through(unsettled, model)


async def test_whoever_waits_goes_on_by_itself(unsettled: Unsettled) -> None:
    """All of them, as soon as it is settled."""
    unsettled.hold(["finance"], 7)
    waiting = [asyncio.create_task(unsettled.wait("finance")) for _ in range(3)]
    await asyncio.sleep(0)
    unsettled.settle(7)
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)


async def test_a_change_without_a_number_is_not_settled(unsettled: Unsettled) -> None:
    """Nobody else knows of it yet."""
    unsettled.hold(["finance"])
    unsettled.settle(99)
    assert not await is_through(unsettled, "finance")
    unsettled.number(["finance", "shop"], 100)
    assert await is_through(unsettled, "shop")
    unsettled.settle(100)
    assert await is_through(unsettled, "finance")


async def test_what_never_got_a_number_gets_that_of_the_next_look(unsettled: Unsettled) -> None:
    """A server that keeps names no more takes up what others say of them."""
    unsettled.hold(["finance"])
    unsettled.number_rest(5)
    unsettled.settle(5)
    assert await is_through(unsettled, "finance")


async def test_before_a_server_has_joined_only_the_base_answers() -> None:
    """It does not know yet what names mean."""
    unsettled = Unsettled(BASES)
    assert not await is_through(unsettled, "finance")
    assert await is_through(unsettled, "org/tiny")
    unsettled.joined()
    assert await is_through(unsettled, "finance")


async def test_no_request_waits_for_ever() -> None:
    """After a while the name means what this server knows; one that knows nothing says so."""
    unsettled = Unsettled(BASES, patience_s=0.05)
    with pytest.raises(EngineUnavailable, match="does not know yet"):
        await unsettled.wait("finance")
    unsettled.joined()
    unsettled.hold(["finance"])
    async with asyncio.timeout(5):
        await unsettled.wait("finance")
    unsettled.settle(0)
    unsettled.number(["finance"], 1)
    unsettled.settle(1)
    unsettled.unjoined()
    with pytest.raises(EngineUnavailable):
        await unsettled.wait("finance")


async def test_after_a_pause_of_the_server_requests_wait_for_a_look() -> None:
    """Others may have gone on without it."""
    now = 0.0
    unsettled = Unsettled(BASES, clock=lambda: now)
    unsettled.joined()
    now = 3.0
    assert await is_through(unsettled, "finance")
    now = 20.0
    assert not await is_through(unsettled, "finance")
    waiting = asyncio.create_task(unsettled.wait("finance"))
    await asyncio.sleep(0)
    unsettled.hold(["finance"], 7)
    unsettled.looked()
    await asyncio.sleep(0)
    assert await is_through(unsettled, "shop")
    assert not waiting.done()
    unsettled.settle(7)
    async with asyncio.timeout(5):
        await waiting
