"""The way from folders into the store."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from lorabay.catalog.fingerprints import fingerprint
from lorabay.catalog.names import AdapterName
from lorabay.catalog.store import Store
from lorabay.catalog.versions import Digest, Version
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from lorabay.files.pace import Pace
from lorabay.reasons import Rejected
from lorabay.reconcile.ingest import NICENESS, Ingest
from lorabay.reconcile.reads.read_slots import READS_AT_ONCE
from tests import making
from tests.failing_disk import ERRORS, FailingDisk
from tests.serving.bay import Bay

FINANCE = AdapterName("finance")


@pytest.fixture
def ingest(bay: Bay) -> Ingest:
    return Ingest(bay.store, bay.checks, (bay.folder,))


def while_read(
    monkeypatch: pytest.MonkeyPatch, store: Store, act: Callable[[Path], object]
) -> None:
    """Have `act` done to a folder after its files have been read and before the read is over."""
    really_ingest = store.ingest

    def ingest_and_act(folder: Path, *rest: object, **options: object) -> Version | Rejected:
        result = really_ingest(folder, *rest, **options)  # type: ignore[arg-type]
        act(folder)
        return result

    monkeypatch.setattr(store, "ingest", ingest_and_act)


async def test_a_folder_is_read_into_the_store(bay: Bay, ingest: Ingest) -> None:
    """A folder that was read is known by its digest, without being read again."""
    path = bay.make(1)
    version = await ingest.read(path, FINANCE)
    assert version == bay.version("finance", 1)
    assert isinstance(version, Version)
    (path / CONFIG_FILE).unlink()
    assert await ingest.read(path, FINANCE, known=version.digest) == version
    assert ingest.stored(FINANCE, version.digest) == version
    assert ingest.stored(FINANCE, Digest("f" * 64)) is None


async def test_warnings_are_logged(bay: Bay, ingest: Ingest) -> None:
    """Whoever only reads the log learns how an adapter was read."""
    path = bay.make(1)
    tensors = making.load(path / WEIGHTS_FILE)
    making.save(path / WEIGHTS_FILE, {f"module.{name}": raw for name, raw in tensors.items()})
    with capture_logs() as logged:
        version = await ingest.read(path, FINANCE)
    assert isinstance(version, Version)
    assert [line["warning"] for line in logged if "warning" in line] == list(version.spec.warnings)
    assert "mapped" in version.spec.warnings[0]


async def test_what_is_known_and_above_the_rank_limit_is_judged_again(
    bay: Bay, ingest: Ingest
) -> None:
    """The limit of the engine that runs now is what counts."""
    path = bay.make(1, rank=16)
    version = await ingest.read(path, FINANCE)
    assert isinstance(version, Version)
    ingest.limit_rank(8)
    result = await ingest.read(path, FINANCE, known=version.digest)
    assert isinstance(result, Rejected)
    assert result.codes == {"rank_over_limit"}


async def test_an_adapter_of_a_module_that_was_left_out_is_refused(
    bay: Bay, ingest: Ingest
) -> None:
    """With the reason, from the engine's start on; the folder is the same under that."""
    path, identity = bay.make(1), ingest.identity
    version = await ingest.read(path, FINANCE)
    assert isinstance(version, Version)
    ingest.leave_out({})
    ingest.leave_out(dict.fromkeys(ingest.base.shapes, "it was left out"))
    result = await ingest.read(path, FINANCE)
    assert isinstance(result, Rejected)
    assert result.codes == {"module_not_adapted"}
    assert "which the engine does not adapt: it was left out" in result.line
    assert ingest.identity == identity


async def test_two_halves_of_different_moments_are_no_version(
    bay: Bay, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is replaced while it is read, by a rename or under a link, may have given
    config and weights that do not belong together: it is read again."""
    first, second = bay.make(1), bay.make(2)
    link = bay.folder / "link"
    link.symlink_to(first)

    def swap(folder: Path) -> None:
        link.unlink()
        link.symlink_to(second)

    while_read(monkeypatch, bay.store, swap)
    result = await ingest.read(link, FINANCE)
    assert isinstance(result, Rejected)
    assert result.codes == {"changed_while_read"}
    assert result.transient
    monkeypatch.undo()
    assert await ingest.read(link, FINANCE) == bay.version("finance", 2)


async def test_a_folder_that_is_another_than_was_found_is_not_taken_for_it(
    bay: Bay, ingest: Ingest
) -> None:
    """Between the look and the read it may have been exchanged; what was found would be remembered
    with its content.
    """
    found = fingerprint(bay.make(1))
    result = await ingest.read(bay.make(2), FINANCE, found_as=found)
    assert isinstance(result, Rejected)
    assert result.codes == {"changed_while_read"}


async def test_a_link_that_flips_there_and_back_is_found_out(
    bay: Bay, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is compared with what was found, not only what is there before and after."""
    first, second = bay.make(1), bay.make(2)
    link = bay.folder / "link"
    link.symlink_to(first)
    really_ingest = bay.store.ingest

    def flip(target: Path) -> None:
        link.unlink()
        link.symlink_to(target)

    def ingest_another(*rest: object, **options: object) -> Version | Rejected:
        flip(second)
        result = really_ingest(*rest, **options)  # type: ignore[arg-type]
        flip(first)
        return result

    monkeypatch.setattr(bay.store, "ingest", ingest_another)
    result = await ingest.read(link, FINANCE, found_as=fingerprint(link))
    assert isinstance(result, Rejected)
    assert result.codes == {"changed_while_read"}


@pytest.mark.parametrize("is_found", [True, False], ids=["folder", "admin"])
async def test_a_link_in_the_place_of_a_checked_folder_leads_nowhere(
    bay: Bay, is_found: bool
) -> None:
    """Where a folder leads when it is read counts, not where it led when it was checked."""
    ingest = Ingest(bay.store, bay.checks, (bay.root,))
    secret, place = bay.make(1), bay.root / "finance"
    place.symlink_to(secret)
    found = fingerprint(place) if is_found else None
    result = await ingest.read(place, FINANCE, found_as=found)
    assert isinstance(result, Rejected)
    assert result.codes == {"link_outside"}
    assert not bay.in_store()


async def test_a_disk_that_was_away_is_no_fault_of_the_folder(
    bay: Bay, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that met a failing disk need not change to be read again."""
    folder = bay.make(1)

    def fail(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path).startswith(str(folder)):
            raise OSError(errno.EMFILE, "Too many open files")
        return really_open(path, *arguments, **options)

    really_open = os.open
    monkeypatch.setattr(os, "open", fail)
    result = await ingest.read(folder, FINANCE)
    assert isinstance(result, Rejected)
    assert result.codes == {"read_failed"}
    assert result.transient


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("error", ERRORS)
async def test_a_store_that_fails_is_no_fault_of_the_folder(
    bay: Bay, ingest: Ingest, error: int, known: bool
) -> None:
    """Whether a version is looked up or stored: the refusal passes, and names no path."""
    path = bay.make(1)
    version = await ingest.read(path, FINANCE)
    assert isinstance(version, Version)
    with FailingDisk(bay.folder / "store").attached() as disk:
        disk.fail(error)
        result = await ingest.read(path, FINANCE, known=version.digest if known else None)
        assert isinstance(result, Rejected)
        assert result.codes == {"store_write"}
        assert result.transient
        assert str(bay.folder) not in result.line
        disk.heal()
        assert await ingest.read(path, FINANCE, known=version.digest) == version


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EMFILE, "Too many open files")])
async def test_trouble_of_this_machine_is_no_fault_of_the_folder(
    bay: Bay, ingest: Ingest, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Memory that runs out while an adapter is checked says nothing of the adapter."""

    def fail(*arguments: object, **options: object) -> None:
        raise error

    path = bay.make(1)
    monkeypatch.setattr(bay.store, "ingest", fail)
    result = await ingest.read(path, FINANCE)
    assert isinstance(result, Rejected)
    assert (result.codes, result.transient) == ({"read_failed"}, True)
    monkeypatch.undo()
    assert isinstance(await ingest.read(path, FINANCE), Version)


async def test_a_version_that_was_just_read_is_not_swept_out(bay: Bay, ingest: Ingest) -> None:
    """A sweep waits for the reads under way, and sees the versions that they registered."""
    kept: set[Digest] = set()

    async def take(weights: int) -> None:
        version = await ingest.read(bay.make(weights), FINANCE)
        assert isinstance(version, Version)
        kept.add(version.digest)

    reads = [asyncio.create_task(take(weights)) for weights in range(1, 2 * READS_AT_ONCE)]
    await asyncio.sleep(0)
    await asyncio.gather(ingest.sweep(lambda: frozenset(kept)), *reads)
    await ingest.sweep(lambda: frozenset(kept))
    assert bay.in_store() == kept
    await ingest.sweep(frozenset)
    assert not bay.in_store()


async def test_a_read_that_is_given_up_ends_all_the_same(bay: Bay, ingest: Ingest) -> None:
    """It stores nothing, and does not hold up a sweep."""
    reading = asyncio.create_task(ingest.read(bay.make(1), FINANCE))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait({reading})
    assert reading.cancelled()
    await ingest.sweep(frozenset)
    assert not bay.in_store()


async def test_more_folders_than_turns_are_all_read(bay: Bay, ingest: Ingest) -> None:
    """The start of a server finds many at once; those beyond the turns wait."""
    results = await asyncio.gather(
        *(ingest.read(bay.make(weights), FINANCE) for weights in range(2 * READS_AT_ONCE))
    )
    assert all(isinstance(result, Version) for result in results)


async def test_reads_that_are_in_the_way_are_made_in_bursts(
    bay: Bay, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each tensor may be followed by a rest, while requests run and only then."""
    rests: list[bool] = []
    monkeypatch.setattr(Pace, "rest", lambda pace: rests.append(pace._in_the_way()))

    await ingest.read(bay.make(1), FINANCE)
    assert not any(rests)
    rests.clear()
    ingest.give_way(lambda: True)
    version = await ingest.read(bay.make(2), FINANCE)
    assert isinstance(version, Version)
    assert all(rests)
    assert len(rests) > len(making.load(version.path / WEIGHTS_FILE))


def test_folders_are_read_at_low_priority(
    bay: Bay, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's threads keep the cores; the event loop's thread keeps its priority."""
    priorities: list[int] = []

    def look(folder: Path) -> None:
        priorities.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    while_read(monkeypatch, bay.store, look)
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert isinstance(asyncio.run(ingest.read(bay.make(1), FINANCE)), Version)
    assert priorities == [min(before + NICENESS, 19)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before
