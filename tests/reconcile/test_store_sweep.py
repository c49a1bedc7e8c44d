"""When the store is swept."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from lorabay.catalog.names import AdapterName
from lorabay.catalog.versions import Digest, Version
from lorabay.errors import SetupError
from lorabay.reconcile.ingest import Ingest
from lorabay.reconcile.store_sweep import StoreSweep
from tests.serving.bay import Bay
from tests.virtual_time import quiet

FINANCE = AdapterName("finance")


@pytest.fixture
def ingest(bay: Bay) -> Ingest:
    return Ingest(bay.store, bay.checks, (bay.root,))


@pytest.fixture
def needed() -> set[Digest]:
    return set()


@pytest.fixture
def sweep(ingest: Ingest, needed: set[Digest]) -> StoreSweep:
    return StoreSweep(ingest, lambda: needed)


async def test_the_store_is_swept_only_on_request(
    bay: Bay, ingest: Ingest, sweep: StoreSweep, needed: set[Digest]
) -> None:
    """Versions that are needed stay, and one request leads to one sweep."""
    kept, left = [await ingest.read(bay.make(weights), FINANCE) for weights in (1, 2)]
    assert isinstance(kept, Version)
    assert isinstance(left, Version)
    needed.add(kept.digest)
    await sweep.run_if_requested()
    assert bay.in_store() == {kept.digest, left.digest}

    sweep.request()
    await sweep.run_if_requested()
    assert bay.in_store() == {kept.digest}

    needed.clear()
    await sweep.run_if_requested()
    assert bay.in_store() == {kept.digest}


async def test_a_sweep_beside_a_read_stays_requested(
    bay: Bay, ingest: Ingest, sweep: StoreSweep
) -> None:
    """A folder that is being read puts the sweep off until somebody looks again."""
    sweep.request()
    reading = asyncio.create_task(ingest.read(bay.make(1), FINANCE))
    await asyncio.sleep(0)
    await sweep.run_if_requested()
    await reading
    assert bay.in_store()

    await sweep.run_if_requested()
    assert not bay.in_store()


async def test_a_sweep_that_failed_stays_requested(
    bay: Bay, ingest: Ingest, sweep: StoreSweep
) -> None:
    """A store that is away for a moment is swept when it is back."""
    await ingest.read(bay.make(1), FINANCE)
    sweep.request()
    store, elsewhere = bay.folder / "store", bay.folder / "elsewhere"
    store.rename(elsewhere)
    with pytest.raises(SetupError):
        await sweep.run_if_requested()

    shutil.rmtree(store, ignore_errors=True)
    elsewhere.rename(store)
    await sweep.run_if_requested()
    assert not bay.in_store()


async def test_a_request_during_a_sweep_leads_to_another(
    bay: Bay, ingest: Ingest, needed: set[Digest]
) -> None:
    """What was given up after a sweep has looked is removed by the next one, before whoever asked
    goes on.
    """
    version = await ingest.read(bay.make(1), FINANCE)
    assert isinstance(version, Version)
    needed.add(version.digest)
    asked = 0

    def still_needed() -> set[Digest]:
        nonlocal asked
        asked += 1
        now = set(needed)
        if asked == 1:
            needed.clear()
            second.append(asyncio.create_task(sweep.run()))
        return now

    second: list[asyncio.Task[None]] = []
    sweep = StoreSweep(ingest, still_needed)
    await sweep.run()
    await asyncio.gather(*second)
    assert not bay.in_store()


async def test_a_store_that_hangs_holds_up_nobody_for_long(
    bay: Bay, sweep: StoreSweep, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wants a sweep hears that it has not ended; later looks do not wait for it at all, and
    it stays requested when it fails in the end.
    """
    may_end = asyncio.Event()

    async def hang(*arguments: object) -> bool:
        await may_end.wait()
        raise SetupError("the disk is gone")

    monkeypatch.setattr(ingest, "sweep", hang)
    with pytest.raises(SetupError, match="hangs"):
        await sweep.run()
    clock = asyncio.get_running_loop().time
    begin = clock()
    await sweep.run_if_requested()
    assert clock() == begin

    may_end.set()
    await quiet()
    monkeypatch.undo()
    await ingest.read(bay.make(1), FINANCE)
    await sweep.run_if_requested()
    assert not bay.in_store()
