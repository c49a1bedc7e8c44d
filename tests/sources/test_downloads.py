"""Downloads that go on beside one another, and beside whoever waits for them."""

from __future__ import annotations

import asyncio

import pytest

from lorabay.sources.downloads import Downloads
from lorabay.sources.interface import Offer

LONG_S = 60.0


class Slow:
    """Fetches what a test lets go."""

    def __init__(self) -> None:
        self.may_end: dict[str, asyncio.Event] = {}
        self.ended: list[str] = []

    async def fetch(self, offer: Offer) -> None:
        """Wait until the test lets it go."""
        await self.may_end.setdefault(offer.name, asyncio.Event()).wait()
        self.ended.append(offer.name)


async def begun(downloads: Downloads, *names: str) -> None:
    for name in names:
        downloads.begin(Offer(name, {}))
    await asyncio.sleep(0)


async def test_a_wait_ends_with_the_last_of_them() -> None:
    """Nothing is under way then."""
    slow = Slow()
    downloads = Downloads(slow.fetch)
    await begun(downloads, "finance", "ads")
    assert "finance" in downloads
    assert len(downloads) == 2
    for event in slow.may_end.values():
        event.set()
    await downloads.wait(LONG_S, asyncio.Event())
    assert sorted(slow.ended) == ["ads", "finance"]
    assert not downloads


async def test_a_slow_one_goes_on_after_the_wait() -> None:
    """The quick one is done meanwhile; a later wait has the slow one's end."""
    slow = Slow()
    downloads = Downloads(slow.fetch)
    await begun(downloads, "finance", "ads")
    slow.may_end["ads"].set()
    await downloads.wait(0.01, asyncio.Event())
    assert "ads" not in downloads
    assert "finance" in downloads

    slow.may_end["finance"].set()
    await downloads.wait(LONG_S, asyncio.Event())
    assert slow.ended == ["ads", "finance"]


async def test_one_that_ends_between_two_waits_is_collected() -> None:
    """Whoever looks at what is under way need not wait for that."""
    slow = Slow()
    downloads = Downloads(slow.fetch)
    await begun(downloads, "finance", "ads")
    slow.may_end["ads"].set()
    while not slow.ended:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    downloads.collect()
    assert "ads" not in downloads
    assert "finance" in downloads
    await downloads.stop()


async def test_a_call_ends_the_wait() -> None:
    """Whoever was told of a change looks at once."""
    slow, called = Slow(), asyncio.Event()
    downloads = Downloads(slow.fetch)
    await begun(downloads, "finance")
    waiting = asyncio.create_task(downloads.wait(LONG_S, called))
    await asyncio.sleep(0)
    called.set()
    await asyncio.wait_for(waiting, LONG_S / 2)
    assert "finance" in downloads
    await downloads.stop()


async def test_a_bug_in_one_is_raised_where_they_are_waited_for() -> None:
    """It is no longer under way, and the others go on."""

    async def fetch(offer: Offer) -> None:
        if offer.name == "bad":
            raise ZeroDivisionError
        await asyncio.Event().wait()

    downloads = Downloads(fetch)
    await begun(downloads, "bad", "finance")
    with pytest.raises(ZeroDivisionError):
        await downloads.wait(0.01, asyncio.Event())
    assert "bad" not in downloads
    assert "finance" in downloads
    await downloads.stop()


async def test_all_end_when_they_must() -> None:
    """None is left, and none has come to its end."""
    slow = Slow()
    downloads = Downloads(slow.fetch)
    await begun(downloads, "finance", "ads")
    await downloads.stop()
    assert not downloads
    assert slow.ended == []
