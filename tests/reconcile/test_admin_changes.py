"""What an admin loads, rolls back, withdraws or deletes."""

from __future__ import annotations

import asyncio
import errno

import pytest

from lorabay.errors import AdapterConflict, AdapterRejected, EngineUnavailable, ModelNotFound
from lorabay.serving.residency import Residency
from tests.faulty_disk import FaultyDisk
from tests.reconcile.changing import load
from tests.serving.bay import ADMIN, POLL_S, Bay
from tests.serving.mortal_engine import MortalEngine
from tests.virtual_time import quiet

REFUSAL = AdapterRejected("finance", ("no such module",))
AWAY = EngineUnavailable("the engine is not up")


async def test_an_admin_may_bring_an_adapter(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """It is served although no folder of the directory holds it, and stays so over looks."""
    version = await load(bay, bay.make(1))
    await bay.look()
    assert bay.live("finance") == version == bay.version("finance", 1)
    assert engine.loaded == {version}


async def test_an_admins_version_wins_over_the_folder_until_that_changes(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """The folder that was passed over counts again once it is another, also over a restart."""
    await bay.serve("finance", 1)
    version = await load(bay, bay.make(2), replace=True)
    await bay.look()
    assert bay.live("finance") == version
    await bay.restarted(engine)
    await bay.look()
    assert bay.live("finance") == version
    await bay.serve("finance", 3)
    bay.take_away("finance")
    await bay.look()
    assert bay.live("finance") is None


async def test_an_admin_may_hasten_the_names_own_folder(bay: Bay, residency: Residency) -> None:
    """A version from the name's own folder is like any other: it goes with the folder."""
    bay.put("finance", 1)
    await load(bay, bay.root / "finance")
    assert bay.live("finance") == bay.version("finance", 1)
    await bay.look()
    assert bay.happened() == ["added"]
    bay.take_away("finance")
    await bay.look()
    assert bay.live("finance") is None


async def test_other_weights_under_a_name_that_is_served_need_a_word(
    bay: Bay, residency: Residency
) -> None:
    """Other weights without `replace` are a conflict that changes nothing; equal ones are not."""
    old = await bay.serve("finance", 1)
    with pytest.raises(AdapterConflict):
        await load(bay, bay.make(2))
    assert await load(bay, bay.make(1)) == old
    assert bay.live("finance") == old
    assert bay.state("finance") == "ready"
    bay.take_away("finance")
    await bay.look()
    assert bay.live("finance") is None


async def test_an_admins_replacement_ends_a_rollback(bay: Bay, residency: Residency) -> None:
    """An admin who names a version gets it, also after a rollback."""
    await bay.serve("finance", 1)
    second = await bay.serve("finance", 2)
    await bay.changes.roll_back("finance", None, who=ADMIN)
    await load(bay, bay.make(2), replace=True)
    assert bay.live("finance") == second
    assert bay.status("finance").rollback is None


@pytest.mark.parametrize("error", [REFUSAL, AWAY], ids=["refused", "away"])
@pytest.mark.parametrize("served", [True, False])
async def test_a_load_that_fails_leaves_everything_as_it_was(
    bay: Bay,
    residency: Residency,
    engine: MortalEngine,
    error: AdapterRejected | EngineUnavailable,
    served: bool,
) -> None:
    """The caller is told, nothing new is listed, and the version that was served stays, also after
    a restart.
    """
    if served:
        await bay.serve("finance", 1)
    before = bay.registry.snapshot()
    engine.fail(f"load {bay.version('finance', 2).id}", error)
    with pytest.raises(type(error)):
        await load(bay, bay.make(2), replace=True)
    assert bay.registry.snapshot() == before
    await bay.restarted(engine)
    assert bay.live("finance") == (bay.version("finance", 1) if served else None)


@pytest.mark.parametrize("error", [None, REFUSAL], ids=["conflict", "refused"])
async def test_a_load_that_fails_leaves_nothing_in_the_store(
    bay: Bay, residency: Residency, engine: MortalEngine, error: AdapterRejected | None
) -> None:
    """A trainer that tries again for ever does not fill the disk of a server where nothing else
    happens.
    """
    old = await bay.serve("finance", 1)
    if error is not None:
        engine.fail(f"load {bay.version('finance', 2).id}", error)
    running = asyncio.create_task(bay.reconciler.run())
    await quiet()
    with pytest.raises(AdapterConflict if error is None else AdapterRejected):
        await load(bay, bay.make(2), replace=error is not None)
    await asyncio.sleep(POLL_S / 2)
    assert bay.in_store() == {old.digest}
    running.cancel()


async def test_a_bad_folder_of_an_admin_is_an_error_with_every_reason(
    bay: Bay, residency: Residency
) -> None:
    """Nothing is listed for it."""
    path = bay.make(1)
    (path / "adapter_config.json").write_text("no JSON")
    with pytest.raises(AdapterRejected) as failure:
        await load(bay, path)
    assert failure.value.reasons
    assert not bay.registry.snapshot()


async def test_a_former_version_can_be_deleted(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """It leaves registry, engine and store; what is live or in use is a conflict."""
    old, new = await bay.serve("finance", 1), await bay.serve("finance", 2)
    with pytest.raises(AdapterConflict, match="live"):
        await bay.changes.delete(new.digest, who=ADMIN)
    with bay.registry.acquire(old.id):
        await residency.ensure(old)
        with pytest.raises(AdapterConflict, match="in use"):
            await bay.changes.delete(old.digest, who=ADMIN)
    await quiet()
    await bay.changes.delete(old.digest, who=ADMIN)
    assert bay.status("finance").kept == (new,)
    assert engine.loaded == {new}
    assert bay.in_store() == {new.digest}
    with pytest.raises(ModelNotFound):
        bay.registry.acquire(old.id)


async def test_a_deletion_does_not_take_what_is_just_being_stored(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """A version that waits for its load is not yet known to the registry, and its files stay."""
    old = await bay.serve("finance", 1)
    await bay.serve("finance", 2)
    await quiet()
    coming = bay.version("shop", 3)
    engine.hold(f"load {coming.id}")
    bay.put("shop", 3)
    looking = bay.begin_look()
    await quiet()
    deleting = asyncio.create_task(bay.changes.delete(old.digest, who=ADMIN))
    await quiet()
    engine.release(f"load {coming.id}")
    await asyncio.gather(looking, deleting)
    assert bay.live("shop") == coming
    assert coming.path.exists()


async def test_an_unload_of_a_folder_out_of_sight_holds(
    bay: Bay, residency: Residency, disk: FaultyDisk
) -> None:
    """An admin may unload an adapter while its disk fails."""
    await bay.serve("finance", 1)
    disk.fail(bay.root, errno.EIO)
    await bay.changes.withdraw("finance", who=ADMIN)
    disk.mend()
    await bay.look()
    assert bay.live("finance") is None
