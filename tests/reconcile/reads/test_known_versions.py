"""Look-ups of stored versions, many in one go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import pytest

from lorabay.catalog.names import AdapterName
from lorabay.catalog.store import Store
from lorabay.catalog.versions import Digest, Version
from lorabay.errors import SetupError
from lorabay.files.daemon_threads import DaemonThreads
from lorabay.reconcile.reads.known_versions import AT_ONCE, KnownVersions
from tests.catalog.registries import version
from tests.serving.bay import Bay

FINANCE = AdapterName("finance")


class Shelf(Store):
    """A store of the versions A, B and C that counts its locks, and fails for some digests."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.noted: list[str] = []
        self.fails: frozenset[Digest] = frozenset()

    def get_all(self, wanted: Sequence[tuple[AdapterName, Digest]]) -> tuple[Version | None, ...]:
        self.asked.append(len(wanted))
        if any(digest in self.fails for _, digest in wanted):
            raise SetupError("the disk failed")
        return tuple(version(digest[0]) if digest[0] in "abc" else None for _, digest in wanted)

    def note_base(self, versions: Iterable[Version], identity: str) -> None:
        self.noted += [f"{one.digest[0]} {identity}" for one in versions]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def looked_up(shelf: Shelf, base: str | None = None) -> KnownVersions:
    threads = DaemonThreads("test")
    return KnownVersions(shelf, lambda: threads, lambda: base)


async def test_those_that_are_asked_for_together_are_looked_up_together(shelf: Shelf) -> None:
    """In groups that leave the store's lock to others in between; who has left holds up nobody."""
    known = looked_up(shelf)
    letters = "abcx" * AT_ONCE
    asked = [asyncio.create_task(known.get(FINANCE, Digest(letter * 64))) for letter in letters]
    asked[1].cancel()
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(found[1], asyncio.CancelledError)
    assert [one and one.digest[0] for one in found[4:8]] == ["a", "b", "c", None]  # type: ignore[union-attr]
    assert shelf.asked == [AT_ONCE] * 3 + [AT_ONCE - 1]
    assert await known.get(FINANCE, Digest("a" * 64)) == version("a")


async def test_a_hiccup_at_one_version_is_nobody_elses(shelf: Shelf) -> None:
    """The disk that does not say of one of them is asked for each of the others."""
    shelf.fails = frozenset({Digest("b" * 64)})
    known = looked_up(shelf)
    found = await asyncio.gather(
        *(known.get(FINANCE, Digest(letter * 64)) for letter in "abc"), return_exceptions=True
    )
    assert found[0] == version("a")
    assert isinstance(found[1], SetupError)
    assert found[2] == version("c")


async def test_the_base_is_noted_of_what_is_there(shelf: Shelf) -> None:
    """The checks of this base have accepted those versions."""
    known = looked_up(shelf, base="this")
    await asyncio.gather(*(known.get(FINANCE, Digest(letter * 64)) for letter in "axb"))
    assert shelf.noted == ["a this", "b this"]


async def test_a_real_store_holds_what_was_looked_up(bay: Bay) -> None:
    """A sweep of another server spares it."""
    stored = await bay.serve("finance", 1)
    with Store.open(bay.folder / "store") as later, Store.open(bay.folder / "store") as other:
        threads = DaemonThreads("test")
        known = KnownVersions(later, lambda: threads, lambda: None)
        assert await known.get(stored.adapter, stored.digest) == stored
        bay.store.close()
        assert other.sweep(frozenset()) == ()
