"""Adapters that an admin brought, withdrew or deleted, beside the folders."""

from __future__ import annotations

import asyncio
import errno
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from lorabay.catalog.admission import Checks
from lorabay.catalog.records import AdminSource
from lorabay.catalog.versions import Version
from lorabay.errors import AdapterConflict, AdapterRejected, EngineUnavailable, ModelNotFound
from lorabay.serving.residency import Residency
from tests.faulty_disk import FaultyDisk
from tests.serving.bay import ADMIN, POLL_S, Bay
from tests.serving.mortal_engine import MortalEngine
from tests.virtual_time import quiet

REFUSAL = AdapterRejected("finance", ("no such module",))
AWAY = EngineUnavailable("the engine is not up")


async def load(bay: Bay, path: Path, *, replace: bool = False) -> Version:
    return await bay.changes.load(
        path, bay.version("finance", 0).adapter, replace=replace, who=ADMIN
    )


async def test_an_admin_may_bring_an_adapter(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """It is served although no folder of the directory holds it, and stays so over looks."""
    version = await load(bay, bay.make(1))
    await bay.look()
    assert bay.live("finance") == version == bay.version("finance", 1)
    assert engine.loaded == {version}


async def test_what_an_admin_brought_survives_a_restart(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """The store serves it, although the folder that it came from may be gone."""
    path = bay.make(1)
    version = await load(bay, path)
    shutil.rmtree(path)
    await bay.restarted(engine)
    assert bay.live("finance") == version


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


@pytest.mark.parametrize("has_folder", [True, False])
@pytest.mark.parametrize("refused", [True, False])
async def test_an_admins_version_that_gave_way_is_tried_again_after_a_restart(
    bay: Bay, residency: Residency, engine: MortalEngine, has_folder: bool, refused: bool
) -> None:
    """The version is tried once there is an engine; the folder that was passed over does not take
    the name meanwhile.
    """
    former = await bay.serve("finance", 1) if has_folder else await load(bay, bay.make(1))
    version = await load(bay, bay.make(2), replace=True)
    bay.registry.set_live(former)  # as after a quarantine
    if refused:
        engine.fail(f"load {version.id}", *(REFUSAL,) * 9)
    await bay.restarted(engine)
    assert isinstance(bay.status("finance").source, AdminSource)
    assert bay.live("finance") == (former if refused else version)
    assert bay.state("finance") == ("failed" if refused else "ready")
    assert bay.happened().count("failed") == refused


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


async def test_what_an_admin_brought_is_checked_again_on_another_base(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """Weights that fit the old base are not served on a new one, and the reason is shown."""
    path = bay.make(1)
    await load(bay, path)
    (path / "adapter_model.safetensors").write_bytes(b"no weights")
    bay.checks = Checks(bay.checks.base, max_rank=8)
    await bay.restarted(engine)
    assert bay.live("finance") is None
    assert bay.state("finance") == "rejected"


async def test_a_withdrawn_adapter_comes_back_with_a_change(bay: Bay, residency: Residency) -> None:
    """Its folder is passed over as it is; other weights in it, or its return, count."""
    await bay.serve("finance", 1)
    await bay.changes.withdraw("finance", who=ADMIN)
    await bay.look()
    assert bay.live("finance") is None
    bay.put("finance", 2)
    await bay.look()
    assert bay.live("finance") == bay.version("finance", 2)
    await bay.changes.withdraw("finance", who=ADMIN)
    (bay.root / "finance").rename(bay.folder / "aside")
    await bay.look()
    (bay.folder / "aside").rename(bay.root / "finance")
    await bay.look()
    assert bay.live("finance") is not None


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


def copy_in_place(bay: Bay, name: str) -> None:
    """Put a copy in a folder's place, as a restored backup is: new inodes and change times."""
    shutil.copytree(bay.root / name, bay.folder / "copied")
    bay.take_away(name)
    (bay.folder / "copied").rename(bay.root / name)


def change_mode(bay: Bay, name: str) -> None:
    for file in (bay.root / name).iterdir():
        file.chmod(0o600)


@pytest.mark.parametrize("restarts", [True, False])
@pytest.mark.parametrize("disturb", [copy_in_place, change_mode, Bay.touch])
async def test_an_unload_outlasts_what_changes_no_content(
    bay: Bay,
    residency: Residency,
    engine: MortalEngine,
    disturb: Callable[[Bay, str], None],
    restarts: bool,
) -> None:
    """A backup, a `chown -R` or another mount is no wish to serve it again; other content is."""
    await bay.serve("finance", 1)
    await bay.changes.withdraw("finance", who=ADMIN)
    disturb(bay, "finance")
    if restarts:
        await bay.restarted(engine)
    await bay.look()
    assert (bay.live("finance"), bay.state("finance")) == (None, "removed")
    await bay.serve("finance", 2)


@pytest.mark.parametrize("restarts", [True, False])
async def test_an_admins_version_outlasts_what_changes_no_content(
    bay: Bay, residency: Residency, engine: MortalEngine, restarts: bool
) -> None:
    """The folder that it was loaded over does not take the name back for a new inode."""
    await bay.serve("finance", 1)
    version = await load(bay, bay.make(2), replace=True)
    copy_in_place(bay, "finance")
    if restarts:
        await bay.restarted(engine)
    await bay.look()
    assert (bay.live("finance"), bay.state("finance")) == (version, "ready")
    await bay.serve("finance", 3)


@pytest.mark.parametrize("is_admins", [True, False])
async def test_what_is_not_wanted_stays_so_over_a_failing_disk(
    bay: Bay, residency: Residency, disk: FaultyDisk, is_admins: bool
) -> None:
    """A folder that cannot be read for a while has not changed."""
    await bay.serve("finance", 1)
    if is_admins:
        version: Version | None = await load(bay, bay.make(2), replace=True)
    else:
        version = None
        await bay.changes.withdraw("finance", who=ADMIN)
    disk.fail(bay.root / "finance", errno.EIO)
    await bay.look()
    disk.mend()
    for _ in range(2):
        await bay.look()
    assert bay.live("finance") == version
    assert bay.state("finance") == ("ready" if is_admins else "removed")


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


@pytest.mark.parametrize("moment", ["turn", "read", "load"])
async def test_an_unload_during_a_load_wins(
    bay: Bay,
    residency: Residency,
    engine: MortalEngine,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    """Whatever the load waits for, it is a conflict, and the name stays away, also over a
    restart.
    """
    await bay.serve("finance", 1)
    new = bay.version("finance", 2)
    may_read = asyncio.Event()

    async def wait_and_read(*arguments: Any, **options: Any) -> Any:
        await may_read.wait()
        return await really_read(*arguments, **options)

    really_read = bay.reconciler.ingest.read
    if moment == "read":
        monkeypatch.setattr(bay.reconciler.ingest, "read", wait_and_read)
    if moment == "load":
        engine.hold(f"load {new.id}")
    async with bay.changes._turns.turn("finance") if moment == "turn" else nullcontext():
        loading = asyncio.create_task(load(bay, bay.make(2), replace=True))
        await quiet()
        await bay.changes.withdraw("finance", who=ADMIN)
    may_read.set()
    engine.release_all()
    with pytest.raises(AdapterConflict, match="unloaded meanwhile"):
        await loading
    await quiet()
    assert bay.live("finance") is None
    assert not engine.loaded
    await bay.restarted(engine)
    assert bay.live("finance") is None
    assert bay.state("finance") == "removed"


async def test_a_refused_load_of_a_name_that_was_unloaded_meanwhile(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """The name is not shown as served again."""
    await bay.serve("finance", 1)
    new = bay.version("finance", 2)
    engine.hold(f"load {new.id}")
    engine.fail(f"load {new.id}", REFUSAL)
    loading = asyncio.create_task(load(bay, bay.make(2), replace=True))
    await quiet()
    await bay.changes.withdraw("finance", who=ADMIN)
    engine.release_all()
    with pytest.raises(AdapterRejected):
        await loading
    assert bay.state("finance") == "removed"
    await bay.look()
    assert bay.live("finance") is None


async def test_a_slow_load_of_a_new_name_is_no_missing_folder(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """A look in the meantime does not remove the name for which there is no folder."""
    new = bay.version("finance", 1)
    engine.hold(f"load {new.id}")
    loading = asyncio.create_task(load(bay, bay.make(1)))
    await quiet()
    for _ in range(3):
        await bay.reconciler.reconcile()
        await asyncio.sleep(1)
    engine.release_all()
    assert await loading == new
    assert bay.happened(adapter="finance") == ["added"]
    assert bay.live("finance") == new
