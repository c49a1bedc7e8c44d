"""Folders whose file system does not answer, read in real threads."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lorabay.catalog.names import AdapterName
from lorabay.files import daemon_threads
from lorabay.reasons import Rejected
from lorabay.reconcile import ingest as ingest_module
from lorabay.reconcile.ingest import Ingest
from lorabay.reconcile.reads.read_slots import READS_AT_ONCE
from tests.failing_disk import FailingDisk
from tests.faulty_disk import FaultyDisk
from tests.serving.bay import ADMIN, Bay
from tests.serving.mortal_engine import MortalEngine

FINANCE = AdapterName("finance")
SOON_S = 60.0


@contextmanager
def impatience() -> Iterator[None]:
    """Give reads up soon while the block lasts: a busy machine may be as slow as a disk that hangs,
    so that nothing is read in it which should come back.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest_module, "STALLED_S", 0.2)
        yield


@pytest.fixture
def ingest(bay: Bay) -> Ingest:
    return Ingest(bay.store, bay.checks, (bay.folder,))


async def test_reads_that_hang_leave_their_turns_to_others(
    bay: Bay, ingest: Ingest, disk: FaultyDisk
) -> None:
    """More of them than there are turns, and a sweep, end in time; the hanging folders may pass
    later, unchanged.
    """
    hanging = [bay.make(weights) for weights in range(READS_AT_ONCE)]
    for folder in hanging:
        disk.hang(folder)
    with impatience():
        reads = asyncio.gather(*(ingest.read(folder, FINANCE) for folder in hanging))
        results = await asyncio.wait_for(reads, SOON_S)
    assert all(isinstance(result, Rejected) and result.transient for result in results)
    assert ingest.stalled == READS_AT_ONCE

    version = await asyncio.wait_for(ingest.read(bay.make(7), FINANCE), SOON_S)
    assert version == bay.version("finance", 7)
    assert await asyncio.wait_for(ingest.sweep(frozenset), SOON_S)

    # A folder whose earlier read still hangs does not cost another thread.
    with impatience():
        await asyncio.wait_for(ingest.read(hanging[0], FINANCE), SOON_S)
    assert ingest.stalled == READS_AT_ONCE
    disk.mend()
    while ingest.stalled:
        await asyncio.sleep(0.01)
    assert await ingest.read(hanging[0], FINANCE) == bay.version("finance", 0)


async def test_a_read_that_comes_back_too_late_stores_nothing(
    bay: Bay, ingest: Ingest, disk: FaultyDisk
) -> None:
    """Nobody would register what it stored."""
    folder = bay.make(1)
    disk.hang(folder)
    with impatience():
        assert isinstance(await ingest.read(folder, FINANCE), Rejected)
    disk.mend()
    while ingest.stalled:
        await asyncio.sleep(0.01)
    assert not bay.in_store()


async def test_a_long_read_holds_up_no_sweep(bay: Bay, ingest: Ingest, disk: FaultyDisk) -> None:
    """The sweep is put off, not waited for."""
    folder = bay.make(1)
    disk.hang(folder)
    reading = asyncio.create_task(ingest.read(folder, FINANCE))
    assert await asyncio.to_thread(disk.hit.wait, SOON_S)
    assert not await asyncio.wait_for(ingest.sweep(frozenset), SOON_S)

    disk.mend()
    assert await reading == bay.version("finance", 1)
    assert await ingest.sweep(frozenset)
    assert not bay.in_store()


async def test_a_read_that_is_given_up_holds_up_nobody(
    bay: Bay, ingest: Ingest, disk: FaultyDisk
) -> None:
    """The end of the server does not wait for a disk that hangs."""
    folder = bay.make(1)
    disk.hang(folder)
    reading = asyncio.create_task(ingest.read(folder, FINANCE))
    assert await asyncio.to_thread(disk.hit.wait, SOON_S)
    reading.cancel()
    await asyncio.wait({reading}, timeout=SOON_S)
    assert reading.cancelled()


async def test_the_server_stops_while_a_folder_hangs(bay: Bay, disk: FaultyDisk) -> None:
    """Nor does it wait for a look that hangs."""
    bay.put("finance", 1)
    disk.hang(bay.root / "finance" / "adapter_model.safetensors")
    running = asyncio.create_task(bay.reconciler.run())
    assert await asyncio.to_thread(disk.hit.wait, SOON_S)
    running.cancel()
    await asyncio.wait_for(bay.reconciler.stop(), SOON_S)
    assert not bay.in_store()


async def test_a_former_version_that_hangs_does_not_keep_the_process(
    bay: Bay, disk: FaultyDisk
) -> None:
    """A read of what the start could not read is given up, and its thread with it."""
    engine = MortalEngine(up=True)
    bay.residency(engine)
    former = await bay.serve("ads", 1)
    await bay.serve("ads", 2)
    with FailingDisk(former.path).attached() as failing:
        failing.fail(errno.EIO)
        await bay.restarted(engine)

    disk.hang(former.path)
    looking = asyncio.create_task(bay.reconciler.reconcile())
    assert await asyncio.to_thread(disk.hit.wait, SOON_S)
    await asyncio.wait_for(bay.reconciler.stop(), SOON_S)
    reading = [thread for thread in threading.enumerate() if thread.name == "lorabay-former"]
    assert reading
    assert all(thread.daemon for thread in reading)
    disk.mend()
    await asyncio.wait_for(looking, SOON_S)


async def test_an_unload_does_not_wait_for_a_disk(bay: Bay, disk: FaultyDisk) -> None:
    """The name goes at once, and stays away when the folder answers again."""
    bay.put("finance", 1)
    await bay.reconciler.reconcile()
    assert bay.live("finance") == bay.version("finance", 1)
    disk.hang(bay.root / "finance")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(daemon_threads, "PATIENCE_S", 0.1)
        await asyncio.wait_for(bay.changes.withdraw("finance", who=ADMIN), SOON_S)
    assert bay.live("finance") is None
    disk.mend()
    await bay.reconciler.reconcile()
    assert bay.live("finance") is None
