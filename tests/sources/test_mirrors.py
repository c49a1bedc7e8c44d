"""All sources of a server: how it starts, who mirrors, how it ends."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from lorabay.sources import mirrors as mirrors_module
from lorabay.sources.claims import Claims
from lorabay.sources.interface import Listing, Offer, SourceError
from lorabay.sources.mirror import Mirror, MirrorTimes
from lorabay.sources.mirror_folder import MirrorFolder
from lorabay.sources.mirrors import Mirrors
from lorabay.sources.pace import Pace
from tests.sources.made import FakeSource, content_of

TIMES = MirrorTimes(poll_s=30, settle_s=0, empty_s=600)


def mirrors_of(path: Path, source: FakeSource, times: MirrorTimes = TIMES) -> Mirrors:
    folder = MirrorFolder(path)
    claims = Claims((source.location,))
    return Mirrors(folder, [Mirror(source, folder, claims, times)], claims)


async def test_a_first_start_waits_until_the_adapters_are_here(tmp_path: Path) -> None:
    """Every adapter that the list showed is in place when the start goes on."""
    source = FakeSource()
    source.shown = {f"a{number}": "1" for number in range(20)}
    mirrors = mirrors_of(tmp_path / "mirror", source)
    await mirrors.begin()
    assert all(content_of(tmp_path / "mirror" / name) == {"1"} for name in source.shown)
    await mirrors.stop()


async def test_a_first_start_without_the_source_goes_on(tmp_path: Path) -> None:
    """The reason is shown; the base is served meanwhile."""
    source = FakeSource()
    source.failure = SourceError("fake://one refuses this server")
    mirrors = mirrors_of(tmp_path / "mirror", source)
    await mirrors.begin()
    (described,) = mirrors.describe()
    assert (described["state"], described["reason"]) == ("away", "fake://one refuses this server")
    await mirrors.stop()


class RestlessSource(FakeSource):
    """A source one of whose adapters is another one in each list."""

    async def list(self) -> Listing:
        self.shown["restless"] = str(int(self.shown.get("restless", "0")) + 1)
        return await super().list()


async def test_a_first_start_does_not_wait_for_what_never_rests(tmp_path: Path) -> None:
    """Bug: an adapter that changed more often than `settle_s` kept the server from starting."""
    source = RestlessSource()
    source.shown = {"finance": "1"}
    times = MirrorTimes(poll_s=30, settle_s=0.2, empty_s=600)
    mirrors = mirrors_of(tmp_path / "mirror", source, times)
    async with asyncio.timeout(20):
        await mirrors.begin()
    assert content_of(tmp_path / "mirror" / "finance") == {"1"}
    await mirrors.stop()


class TricklingSource(FakeSource):
    """A source one of whose adapters is on its way until a test lets it come."""

    def __init__(self) -> None:
        super().__init__()
        self.may_come = asyncio.Event()

    async def fetch(self, offer: Offer, into: Path, pace: Pace) -> None:
        """Fetch as ever, but `slow` not before it may come."""
        if offer.name == "slow":
            await self.may_come.wait()
        await super().fetch(offer, into, pace)


async def test_a_first_start_does_not_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: bytes that trickled in kept the server from starting. They come while it serves."""
    monkeypatch.setattr(mirrors_module, "FIRST_START_S", 0.5)
    source = TricklingSource()
    source.shown = {"finance": "1", "slow": "1"}
    mirrors = mirrors_of(
        tmp_path / "mirror", source, MirrorTimes(poll_s=0.05, settle_s=0, empty_s=600)
    )
    async with asyncio.timeout(60):
        await mirrors.begin()
        assert not (tmp_path / "mirror" / "slow").exists()
        source.may_come.set()
        while not (tmp_path / "mirror" / "slow").exists():
            await asyncio.sleep(0.01)
    assert content_of(tmp_path / "mirror" / "finance") == {"1"}
    await mirrors.stop()


class SilentSource(FakeSource):
    """A source that does not answer."""

    async def list(self) -> Listing:
        await asyncio.Event().wait()
        return Listing()


async def test_a_restart_does_not_wait_for_a_silent_source(tmp_path: Path) -> None:
    """What an earlier run has brought is there after a second."""
    source = FakeSource()
    source.shown = {"finance": "1"}
    first = mirrors_of(tmp_path / "mirror", source)
    await first.begin()
    await first.stop()

    again = mirrors_of(tmp_path / "mirror", SilentSource())
    began = time.monotonic()
    await again.begin()
    assert time.monotonic() - began < mirrors_module.HEAD_START_S + 1
    assert content_of(tmp_path / "mirror" / "finance") == {"1"}
    await again.stop()


async def test_a_source_that_is_no_longer_named_takes_its_adapters_along(tmp_path: Path) -> None:
    """Bug: what it had brought was served for ever. What another source has, too, changes owner."""
    path, former = tmp_path / "mirror", FakeSource("fake://former")
    former.shown = {"finance": "1", "ads": "1"}
    mirrors = mirrors_of(path, former)
    await mirrors.begin()
    await mirrors.stop()

    source = FakeSource("fake://new")
    source.failure = SourceError("fake://new does not answer")
    source.shown = {"finance": "2"}
    mirrors = mirrors_of(path, source)
    await mirrors.begin()
    assert content_of(path / "finance") == content_of(path / "ads") == {"1"}

    source.failure = None
    await mirrors.look_again()
    async with asyncio.timeout(20):
        while (path / "ads").exists() or not mirrors.describe()[0]["adapters"]:
            await asyncio.sleep(0.01)
    assert content_of(path / "finance") == {"2"}
    await mirrors.stop()


async def test_one_of_two_servers_mirrors_and_the_other_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They share a store; when the first ends, the second goes on."""
    monkeypatch.setattr(mirrors_module, "TAKE_OVER_S", 0.01)
    source, other = FakeSource(), FakeSource()
    source.shown = other.shown = {"finance": "1"}
    first, second = (mirrors_of(tmp_path / "mirror", one) for one in (source, other))
    await first.begin()
    await second.begin()
    assert second.describe()[0]["state"] == "followed"
    assert other.fetches == []

    await first.stop()
    other.shown = {"finance": "2"}
    async with asyncio.timeout(20):
        while content_of(tmp_path / "mirror" / "finance") != {"2"}:
            await asyncio.sleep(0.01)
    assert second.describe()[0]["state"] == "ready"
    await second.stop()


async def test_a_server_that_cannot_take_over_tells_why_and_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: it kept the lock and mirrored nothing, in silence, and could not be stopped."""
    monkeypatch.setattr(mirrors_module, "TAKE_OVER_S", 0.01)
    path, aside = tmp_path / "mirror", tmp_path / "aside"
    source = FakeSource()
    source.shown = {"finance": "1"}
    first, second = (mirrors_of(path, source) for _ in range(2))
    await first.begin()
    await second.begin()

    path.rename(aside)
    path.write_text("no folder")
    await first.stop()
    async with asyncio.timeout(20):
        while second.describe()[0]["state"] != "away":
            await asyncio.sleep(0.01)
    assert "mirror cannot be used" in second.describe()[0]["reason"]

    path.unlink()
    async with asyncio.timeout(20):
        while second.describe()[0]["state"] != "ready":
            await asyncio.sleep(0.01)
    await second.stop()


async def test_a_takeover_that_is_not_to_be_can_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stops a server has more to stop."""
    monkeypatch.setattr(mirrors_module, "TAKE_OVER_S", 0.01)
    path = tmp_path / "mirror"
    first, second = (mirrors_of(path, FakeSource()) for _ in range(2))
    await first.begin()
    await second.begin()
    path.rename(tmp_path / "aside")
    path.write_text("no folder")
    await first.stop()
    async with asyncio.timeout(20):
        while second.describe()[0]["state"] != "away":
            await asyncio.sleep(0.01)
    await second.stop()

    path.unlink()
    third = mirrors_of(path, FakeSource())
    await third.begin()
    assert third.describe()[0]["state"] != "followed"
    await third.stop()


async def test_a_source_is_listed_when_somebody_asks(tmp_path: Path) -> None:
    """Not at the next poll only."""
    source = FakeSource()
    source.shown = {"finance": "1"}
    mirrors = mirrors_of(tmp_path / "mirror", source)
    await mirrors.begin()
    source.shown = {"finance": "2"}
    await asyncio.sleep(0)
    await mirrors.look_again()
    async with asyncio.timeout(20):
        while content_of(tmp_path / "mirror" / "finance") != {"2"}:
            await asyncio.sleep(0.01)
    await mirrors.stop()


class HeldSource(FakeSource):
    """A source whose next list is held up."""

    def __init__(self) -> None:
        super().__init__()
        self.may_list = asyncio.Event()
        self.may_list.set()
        self.listing = asyncio.Event()

    async def list(self) -> Listing:
        """Return what was shown when it was asked for."""
        listing = await super().list()
        self.listing.set()
        await self.may_list.wait()
        return listing


async def test_a_call_that_comes_while_a_list_is_read_is_answered_by_another_one(
    tmp_path: Path,
) -> None:
    """What changed after the list was asked for is not in it, and the next poll is far."""
    source = HeldSource()
    source.shown = {"finance": "1"}
    mirrors = mirrors_of(tmp_path / "mirror", source)
    await mirrors.begin()
    source.may_list.clear()
    source.listing.clear()
    await mirrors.look_again()
    await source.listing.wait()
    source.shown = {"finance": "2"}
    await mirrors.look_again()
    source.may_list.set()
    async with asyncio.timeout(20):
        while content_of(tmp_path / "mirror" / "finance") != {"2"}:
            await asyncio.sleep(0.01)
    await mirrors.stop()
