"""What is served follows the directory, whatever happens to that, to the disk or to the server."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import socket
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from lorabay.base.shapes import BaseShapes
from lorabay.catalog import admission, fingerprints
from lorabay.catalog.registry.record_keeper import RecordKeeper
from lorabay.catalog.root_identity import RootIdentity
from lorabay.catalog.versions import Version
from lorabay.errors import AdapterConflict, AdapterRejected, ModelNotFound, SetupError
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from lorabay.reconcile import ingest, scanner
from lorabay.reconcile.absences import REMOVAL_CONFIRM_S, DirectoryState
from lorabay.serving.residency import Residency
from tests import making
from tests.faulty_disk import FaultyDisk
from tests.serving.bay import ADMIN, POLL_S, Bay
from tests.serving.mortal_engine import MortalEngine
from tests.virtual_time import quiet

REFUSAL = AdapterRejected("finance", ("no such module",))


async def test_a_folder_is_served(bay: Bay, residency: Residency, engine: MortalEngine) -> None:
    """A folder that appears is stored, loaded and live, from a path that names its digest."""
    version = await bay.serve("finance", 1)
    assert bay.state("finance") == "ready"
    assert engine.loaded == {version}
    assert version.path.name == version.digest
    assert version.path.parent.parent == bay.folder / "store"
    assert bay.happened() == ["added"]


async def test_nothing_is_done_for_an_unchanged_folder(
    bay: Bay, residency: Residency, engine: MortalEngine, opened: deque[str]
) -> None:
    """Further looks read no file of it, load nothing, log nothing and are due by the timer
    alone.
    """
    await bay.serve("finance", 1)
    opened.clear()
    for _ in range(5):
        assert await bay.reconciler.reconcile() == POLL_S
    assert not [path for path in opened if path.startswith(str(bay.root / "finance"))]
    assert len(engine.steps) == 1
    assert bay.happened() == ["added"]


async def test_a_removed_folder_takes_its_name_away(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """Without requests nothing is left of the adapter: no name, no weights, no record, nothing in
    the store.
    """
    await bay.serve("finance", 1)
    bay.take_away("finance")
    await bay.look()
    with pytest.raises(ModelNotFound):
        bay.registry.acquire("finance")
    await quiet()
    assert not engine.loaded
    await bay.look()
    assert not bay.registry.snapshot()
    assert not bay.in_store()
    assert bay.happened() == ["added", "removed"]


async def test_a_folder_replaced_by_two_renames_is_not_a_removal(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """A moment without the folder costs no request a 404; the name goes only when it stays away."""
    old = await bay.serve("finance", 1)
    bay.take_away("finance")
    assert await bay.reconciler.reconcile() == pytest.approx(REMOVAL_CONFIRM_S)
    assert bay.live("finance") == old
    await bay.serve("finance", 2)
    assert bay.happened() == ["added", "swapped"]
    bay.take_away("finance")
    await bay.reconciler.reconcile()
    assert bay.live("finance") is not None
    await asyncio.sleep(REMOVAL_CONFIRM_S)
    await bay.reconciler.reconcile()
    assert bay.live("finance") is None


async def test_each_absence_is_timed_by_itself(bay: Bay, residency: Residency) -> None:
    """A folder that was missing for a moment long ago gets its whole time when it is missing
    again.
    """
    await bay.serve("finance", 1)
    bay.take_away("finance")
    await bay.reconciler.reconcile()
    await bay.serve("finance", 1)
    await asyncio.sleep(100)
    bay.take_away("finance")
    await bay.reconciler.reconcile()
    assert bay.live("finance") is not None


async def test_the_same_content_is_not_loaded_again(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """New files with the old bytes change nothing but what is remembered of the folder."""
    await bay.serve("finance", 1)
    bay.touch("finance")
    await bay.look()
    await bay.serve("finance", 1)
    assert len(engine.steps) == 1
    assert bay.happened() == ["added"]
    assert bay.state("finance") == "ready"


async def test_equal_content_under_two_names_is_stored_once(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """Two adapters may hold the same weights; one going leaves the other whole."""
    finance, shop = await bay.serve("finance", 1), await bay.serve("shop", 1)
    assert finance != shop
    assert bay.in_store() == {finance.digest}
    bay.take_away("finance")
    await bay.look()
    await quiet()
    await bay.look()
    assert engine.holds(shop)
    assert len(engine.loaded) == 1
    assert bay.in_store() == {shop.digest}
    assert shop.path.exists()


async def test_a_renamed_folder_is_another_adapter(bay: Bay, residency: Residency) -> None:
    """The old name goes and the new one comes, with the same weights."""
    await bay.serve("finance", 1)
    (bay.root / "finance").rename(bay.root / "bank")
    await bay.look()
    assert bay.registry.names() == ("bank",)
    assert bay.live("bank") == bay.version("bank", 1)


async def test_a_restart_serves_the_same(
    bay: Bay, residency: Residency, opened: deque[str]
) -> None:
    """The live version and the former ones are there before the engine is, and no folder is read
    again.
    """
    old, new = await bay.serve("finance", 1), await bay.serve("finance", 2)
    opened.clear()
    await bay.restarted(MortalEngine(up=True))
    assert bay.live("finance") == new
    assert bay.status("finance").kept == (new, old)
    assert not [path for path in opened if path.endswith((CONFIG_FILE, WEIGHTS_FILE))]
    assert bay.reconciler.has_read_directory


async def test_an_upgrade_reads_the_folders_again(
    bay: Bay, residency: Residency, opened: deque[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, as older code may have stored other numbers; what is as it was is served throughout."""
    old, new = await bay.serve("finance", 1), await bay.serve("finance", 2)
    former, _ = await bay.serve("bank", 3), await bay.serve("bank", 4)
    await bay.changes.roll_back("bank", None, who=ADMIN)
    monkeypatch.setattr(admission, "REVISION", admission.REVISION + 1)
    opened.clear()
    await bay.restarted(MortalEngine(up=True))
    assert [path for path in opened if path.endswith(WEIGHTS_FILE)]
    assert bay.live("finance") == new
    assert bay.status("finance").kept == (new, old)
    assert bay.live("bank") == former

    opened.clear()
    await bay.restarted(MortalEngine(up=True))
    assert not [path for path in opened if path.endswith(WEIGHTS_FILE)]


async def test_a_rollback_and_a_pin_survive_a_restart(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """Both were an admin's choice; the rollback ends with the folder's next change, the pin does
    not.
    """
    old = await bay.serve("finance", 1)
    await bay.serve("finance", 2)
    await bay.changes.roll_back("finance", None, who=ADMIN)
    bay.registry.set_pinned("finance", True)
    await bay.restarted(engine)
    assert bay.live("finance") == old
    assert bay.status("finance").pinned
    assert bay.status("finance").rollback is not None
    await bay.serve("finance", 3)
    assert bay.status("finance").rollback is None
    assert bay.status("finance").pinned


async def test_a_change_while_the_server_was_down_ends_a_rollback(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """The folder's content at the start decides, as it would have at the moment of the change."""
    await bay.serve("finance", 1)
    await bay.serve("finance", 2)
    await bay.changes.roll_back("finance", None, who=ADMIN)
    bay.put("finance", 3)
    await bay.restarted(engine)
    assert bay.live("finance") == bay.version("finance", 3)
    assert bay.status("finance").rollback is None


async def test_a_folder_removed_while_the_server_was_down_is_gone(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """Nothing serves it at the start, and nothing keeps its weights."""
    await bay.serve("finance", 1)
    bay.take_away("finance")
    await bay.restarted(engine)
    await bay.look()
    assert not bay.registry.snapshot()
    assert not bay.in_store()


async def test_a_killed_server_leaves_nothing_behind(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """Half-made versions of a server that was killed are cleared at the next start, also of an
    empty directory.
    """
    work = bay.folder / "store" / "work" / "0123456789abcdef.0"
    work.mkdir()
    await bay.restarted(engine)
    assert not work.exists()


async def test_a_bad_folder_disturbs_nobody(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """It is rejected with its reasons and counted, beside adapters that are served."""
    bay.put_broken("broken")
    version = await bay.serve("finance", 1)
    assert bay.state("broken") == "rejected"
    assert bay.status("broken").reasons
    assert engine.loaded == {version}
    code = bay.status("broken").reasons[0].code
    assert bay.metrics.registry.get_sample_value("lorabay_rejected_total", {"reason": code}) == 1
    await bay.look()
    assert bay.metrics.registry.get_sample_value("lorabay_rejected_total", {"reason": code}) == 1


async def test_a_folder_that_turns_bad_leaves_its_adapter_served(
    bay: Bay, residency: Residency
) -> None:
    """The last good version answers on; mending the folder is enough."""
    old = await bay.serve("finance", 1)
    bay.put_broken("finance")
    await bay.look()
    assert bay.live("finance") == old
    assert bay.state("finance") == "rejected"
    await bay.serve("finance", 2)
    assert bay.state("finance") == "ready"


async def test_a_bad_folder_that_goes_is_forgotten(bay: Bay, residency: Residency) -> None:
    """It is not listed any more, and its return is judged anew."""
    bay.put_broken("broken")
    await bay.look()
    bay.take_away("broken")
    await bay.look()
    assert not bay.registry.snapshot()


async def test_a_folder_with_its_adapter_further_down_is_rejected(
    bay: Bay, residency: Residency
) -> None:
    """It is listed with where the adapter was seen, once; moving that up serves it."""
    (bay.root / "run").mkdir()
    bay.make(1).rename(bay.root / "run" / "checkpoint-500")
    await bay.look()
    assert bay.state("run") == "rejected"
    (reason,) = bay.status("run").reasons
    assert reason.code == "adapter_nested"
    assert "checkpoint-500" in reason.text
    await bay.look()
    assert bay.happened() == ["rejected"]

    (bay.root / "run" / "checkpoint-500").rename(bay.root / "finance")
    await bay.look()
    assert bay.live("finance") == bay.version("finance", 1)
    assert bay.registry.status("run") is None


async def test_a_served_folder_that_is_emptied_of_its_adapter_is_removed(
    bay: Bay, residency: Residency
) -> None:
    """Checkpoints that stay in it do not keep its name; they are shown as what they are."""
    await bay.serve("finance", 1)
    bay.make(2).rename(bay.root / "finance" / "checkpoint-500")
    await bay.look()
    assert bay.state("finance") == "ready"

    for file in ("adapter_config.json", "adapter_model.safetensors"):
        (bay.root / "finance" / file).unlink()
    await bay.look()
    assert bay.live("finance") is None
    await asyncio.sleep(POLL_S)
    await bay.look()
    assert bay.state("finance") == "rejected"
    assert bay.happened() == ["added", "removed", "rejected"]


async def test_another_trainers_folder_is_rejected_by_its_name(
    bay: Bay, residency: Residency
) -> None:
    """The reason says whose it is and which command reads it."""
    bay.put("mlx", 1)
    (bay.root / "mlx" / "adapter_model.safetensors").rename(
        bay.root / "mlx" / "adapters.safetensors"
    )
    await bay.look()
    assert [reason.code for reason in bay.status("mlx").reasons] == ["foreign_format"]
    assert "lorabay convert" in bay.status("mlx").reasons[0].text


async def test_a_backup_beside_its_adapter_is_not_served(bay: Bay, residency: Residency) -> None:
    """`mv finance finance.old` takes the name away and makes no new one; moving it back does."""
    version = await bay.serve("finance", 1)
    (bay.root / "finance").rename(bay.root / "finance.old")
    await bay.look()
    assert not bay.registry.names()
    assert [reason.code for reason in bay.status("finance.old").reasons] == ["backup_name"]
    (bay.root / "finance.old").rename(bay.root / "finance")
    await bay.look()
    assert bay.live("finance") == version


@pytest.mark.parametrize("name", ["tiny", "default", "so bad", "x" * 200])
async def test_a_name_that_may_not_be_is_rejected(
    bay: Bay, residency: Residency, name: str
) -> None:
    """The base's names and unfit ones are refused unread, with the reason."""
    bay.put(name, 1)
    await bay.look()
    assert bay.state(name) == "rejected"
    assert not bay.registry.names()


async def test_a_rank_over_the_engines_limit_is_rejected(bay: Bay, residency: Residency) -> None:
    """The limit that the engine was started with holds for every later folder, and the reason names
    the way out.
    """
    bay.reconciler.ingest.limit_rank(8)
    bay.put("finance", 1, rank=16)
    await bay.look()
    assert bay.state("finance") == "rejected"
    assert "max_lora_rank=16" in bay.status("finance").reasons[0].text


async def test_a_known_folder_over_the_engines_limit_is_rejected(
    bay: Bay, engine: MortalEngine
) -> None:
    """That it passed under an earlier server's limit does not let it in."""
    bay.put("finance", 1, rank=16)
    await bay.reconciler.read_directory()
    bay.restart()
    bay.residency(engine)
    bay.reconciler.ingest.limit_rank(8)
    await bay.look()
    assert bay.state("finance") == "rejected"
    assert not engine.steps


async def test_a_directory_that_is_away_removes_nothing(bay: Bay, residency: Residency) -> None:
    """An unmounted volume is no wish to remove; it is logged once, and its return is enough."""
    old = await bay.serve("finance", 1)
    hidden = bay.folder / "hidden"
    bay.root.rename(hidden)
    for _ in range(3):
        assert await bay.reconciler.reconcile() == POLL_S
        await asyncio.sleep(POLL_S)
    assert bay.live("finance") == old
    assert bay.happened() == ["added", "scan"]
    hidden.rename(bay.root)
    await bay.look()
    assert bay.live("finance") == old
    await bay.serve("finance", 2)


EMPTY_ROOT_S, KEPT_S = 600.0, 86_400.0


@pytest.fixture
def patient(tmp_path: Path, shapes: BaseShapes, engine: MortalEngine) -> Iterator[Bay]:
    """A bay with a server's own patience with its directory, serving three adapters."""
    bay = Bay(tmp_path, shapes, removed_keep_s=KEPT_S, empty_root_s=EMPTY_ROOT_S)
    bay.residency(engine)
    yield bay
    bay.store.close()


async def three(bay: Bay) -> dict[str, Version]:
    """Serve three adapters, one of them in its second version."""
    await bay.serve("finance", 1)
    for number, name in enumerate(("finance", "legal", "shop")):
        bay.put(name, 2 + number)
    await bay.look()
    return live(bay)


def live(bay: Bay) -> dict[str, Version]:
    return {status.name: status.live for status in bay.registry.snapshot() if status.live}


def directory_state(bay: Bay) -> str:
    sample = bay.metrics.registry.get_sample_value
    states = [
        state
        for state in DirectoryState
        if sample("lorabay_directory_state", {"state": state.value})
    ]
    assert len(states) == 1
    return states[0].value


def unmount(bay: Bay) -> Path:
    """Leave an empty directory where the volume was; return where the volume is."""
    aside = bay.folder / "volume"
    bay.root.rename(aside)
    bay.root.mkdir()
    return aside


def mount(bay: Bay, volume: Path) -> None:
    bay.root.rmdir()
    volume.rename(bay.root)


async def test_a_volume_that_is_away_removes_nothing(
    patient: Bay, engine: MortalEngine, opened: deque[str]
) -> None:
    """An empty directory in its place is told once, and its return is enough; no file is read
    again.
    """
    before, steps = await three(patient), len(engine.steps)
    kept = patient.status("finance").kept
    volume = unmount(patient)
    for _ in range(5):
        await patient.look()
        await asyncio.sleep(POLL_S)
    assert live(patient) == before
    assert directory_state(patient) == "empty"
    assert patient.happened().count("scan") == 1

    mount(patient, volume)
    opened.clear()
    await patient.look()
    await asyncio.sleep(2 * EMPTY_ROOT_S)
    await patient.look()
    assert live(patient) == before
    assert patient.status("finance").kept == kept
    assert directory_state(patient) == "ready"
    assert len(engine.steps) == steps
    assert not [path for path in opened if path.endswith((CONFIG_FILE, WEIGHTS_FILE))]


async def test_a_volume_that_was_copied_anew_changes_nothing(
    patient: Bay, engine: MortalEngine
) -> None:
    """Other inodes and times of the same content load nothing, and drop no former version."""
    before, steps = await three(patient), len(engine.steps)
    kept = patient.status("finance").kept
    volume = unmount(patient)
    await patient.look()
    shutil.copytree(volume, patient.folder / "copy")
    mount(patient, patient.folder / "copy")
    await patient.look()
    await asyncio.sleep(2 * EMPTY_ROOT_S)
    await patient.look()
    assert live(patient) == before
    assert patient.status("finance").kept == kept
    assert len(engine.steps) == steps


async def test_folders_that_vanish_at_once_are_waited_for(patient: Bay) -> None:
    """Also from the same directory, as a listing of an object store that came back empty."""
    before = await three(patient)
    aside = patient.folder / "aside"
    aside.mkdir()
    for name in before:
        (patient.root / name).rename(aside / name)
    await patient.look()
    await asyncio.sleep(EMPTY_ROOT_S - 1)
    assert 0 < await patient.reconciler.reconcile() <= 1
    assert live(patient) == before
    await asyncio.sleep(2)
    await patient.look()
    assert live(patient) == {}


async def test_a_replaced_directory_removes_nothing_for_a_time(patient: Bay) -> None:
    """What it holds is served, and what it lacks as well until the time is over."""
    before = await three(patient)
    unmount(patient)
    patient.put("finance", 7)
    patient.put("bank", 8)
    await patient.look()
    expected = before | {
        "finance": patient.version("finance", 7),
        "bank": patient.version("bank", 8),
    }
    assert live(patient) == expected
    assert directory_state(patient) == "replaced"
    await asyncio.sleep(EMPTY_ROOT_S + 1)
    await patient.look()
    await patient.look()
    assert set(live(patient)) == {"finance", "bank"}
    assert directory_state(patient) == "ready"


async def test_what_lies_below_a_volume_is_not_served(
    patient: Bay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old copy under the mount point takes no name, and nothing is removed however long."""
    really_identify = scanner.identify

    def as_volume(root: Path) -> RootIdentity:
        found = really_identify(root)
        return replace(found, mount=found.mount + 1, mount_point=root)

    with monkeypatch.context() as patch:
        patch.setattr(scanner, "identify", as_volume)
        before = await three(patient)
    volume = unmount(patient)
    patient.put("finance", 7)
    await patient.look()
    await asyncio.sleep(10 * EMPTY_ROOT_S)
    await patient.look()
    assert live(patient) == before
    assert directory_state(patient) == "unmounted"
    shutil.rmtree(patient.root / "finance")
    mount(patient, volume)
    monkeypatch.setattr(scanner, "identify", as_volume)
    await patient.look()
    assert live(patient) == before
    assert directory_state(patient) == "ready"


async def test_a_directory_that_is_a_flipped_link_is_followed(
    tmp_path: Path, shapes: BaseShapes, engine: MortalEngine
) -> None:
    """As git-sync does it: a release is whole, and what it leaves out goes."""
    bay = Bay(tmp_path, shapes, removed_keep_s=KEPT_S, empty_root_s=EMPTY_ROOT_S)
    bay.residency(engine)
    bay.root.rename(tmp_path / "release-1")
    bay.root.symlink_to("release-1")
    before = await three(bay)

    shutil.copytree(tmp_path / "release-1", tmp_path / "release-2")
    shutil.rmtree(tmp_path / "release-2" / "shop")
    bay.make(9).rename(tmp_path / "release-2" / "tax")
    (tmp_path / "next").symlink_to("release-2")
    (tmp_path / "next").rename(bay.root)
    await bay.look()
    del before["shop"]
    assert live(bay) == before | {"tax": bay.version("tax", 9)}
    bay.store.close()


async def test_an_empty_directory_at_the_start_wipes_nothing(
    patient: Bay, engine: MortalEngine
) -> None:
    """What was served last is served from the store, with its former versions, until the volume is
    there.
    """
    before = await three(patient)
    kept = patient.status("finance").kept
    volume = unmount(patient)
    await patient.restarted(engine)
    assert live(patient) == before
    await patient.restarted(engine)
    mount(patient, volume)
    await patient.look()
    assert live(patient) == before
    assert patient.status("finance").kept == kept


async def test_a_long_absence_costs_no_version(patient: Bay) -> None:
    """Names go when an empty directory counts; their versions are there when the volume is."""
    before = await three(patient)
    kept = patient.status("finance").kept
    volume = unmount(patient)
    await patient.look()
    await asyncio.sleep(EMPTY_ROOT_S + 1)
    await patient.look()
    assert live(patient) == {}
    mount(patient, volume)
    await patient.look()
    assert live(patient) == before
    assert patient.status("finance").kept == kept


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EMFILE, errno.EACCES])
@pytest.mark.parametrize("whole", [True, False], ids=["directory", "folder"])
async def test_a_failing_disk_changes_nothing(
    patient: Bay, engine: MortalEngine, disk: FaultyDisk, code: int, whole: bool
) -> None:
    """No name is removed or flipped, nothing is loaded anew, and all are ready by themselves."""
    before, steps = await three(patient), len(engine.steps)
    disk.fail(patient.root if whole else patient.root / "finance", code)
    for _ in range(3):
        await patient.look()
        await asyncio.sleep(POLL_S)
        assert live(patient) == before
    disk.mend()
    await patient.look()
    assert live(patient) == before
    assert {patient.state(name) for name in before} == {"ready"}
    assert len(engine.steps) == steps
    assert directory_state(patient) == "ready"


async def test_what_an_admin_unloaded_outlasts_a_long_absence(patient: Bay) -> None:
    """A volume that comes back after names went is no wish to serve what was unloaded."""
    before = await three(patient)
    await patient.changes.withdraw("shop", who=ADMIN)
    volume = unmount(patient)
    await patient.look()
    await asyncio.sleep(EMPTY_ROOT_S + 1)
    for _ in range(2):
        await patient.look()
    assert directory_state(patient) == "ready"
    mount(patient, volume)
    await patient.look()
    del before["shop"]
    assert live(patient) == before
    assert patient.state("shop") == "removed"


async def test_a_folder_that_is_deployed_anew_can_be_rolled_back(patient: Bay) -> None:
    """`rm -rf finance; cp -r new finance` leaves what it replaced to be gone back to."""
    before = await three(patient)
    patient.take_away("finance")
    await patient.look()
    await asyncio.sleep(POLL_S)
    await patient.look()
    assert "finance" not in live(patient)
    patient.put("finance", 9)
    await patient.look()
    assert live(patient)["finance"] == patient.version("finance", 9)
    await patient.changes.roll_back("finance", None, who=ADMIN)
    assert live(patient) == before


async def test_a_folder_that_is_emptied_and_filled_can_be_rolled_back(patient: Bay) -> None:
    """`rm finance/*; cp new/* finance/` is the same."""
    before = await three(patient)
    fresh, folder = patient.make(9), patient.root / "finance"
    for file in list(folder.iterdir()):
        file.unlink()
    await patient.look()
    for file in list(fresh.iterdir()):
        file.rename(folder / file.name)
    await patient.look()
    assert live(patient)["finance"] == patient.version("finance", 9)
    await patient.changes.roll_back("finance", None, who=ADMIN)
    assert live(patient) == before


async def test_a_removed_name_is_not_revived_by_a_bad_folder(patient: Bay) -> None:
    """Whoever removed a name did not mean its former version to answer when the next is broken."""
    await three(patient)
    patient.take_away("finance")
    await patient.look()
    patient.put_broken("finance")
    await patient.look()
    assert "finance" not in live(patient)
    assert patient.state("finance") == "rejected"


async def test_a_removed_name_leaves_the_store_in_time(patient: Bay) -> None:
    """Its versions are kept for a return, not for ever."""
    before = await three(patient)
    patient.take_away("finance")
    await patient.look()
    await patient.look()
    assert patient.version("finance", 1).digest in patient.in_store()
    await asyncio.sleep(KEPT_S)
    await patient.look()
    await patient.look()
    assert patient.in_store() == {before[name].digest for name in ("legal", "shop")}
    assert patient.registry.status("finance") is None


@pytest.mark.parametrize("keeps_times", [True, False])
async def test_a_restart_on_another_volume_reads_no_weights_again(
    bay: Bay,
    residency: Residency,
    monkeypatch: pytest.MonkeyPatch,
    keeps_times: bool,
) -> None:
    """`cp -a` to the same path is recognised by short reads; a copy with new times is read."""
    version = await bay.serve("finance", 1)
    copy = shutil.copy2 if keeps_times else shutil.copy
    shutil.copytree(bay.root, bay.folder / "copy", copy_function=copy)
    shutil.rmtree(bay.root)
    (bay.folder / "copy").rename(bay.root)
    bay.restart()
    bay.residency(MortalEngine(up=True))
    ingested: list[str] = []
    really_ingest = bay.store.ingest

    def note(folder: Path, name: str, *rest: Any, **options: Any) -> Any:
        ingested.append(name)
        return really_ingest(folder, name, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(bay.store, "ingest", note)
    await bay.look()
    assert bay.live("finance") == version
    assert ingested == ([] if keeps_times else ["finance"])


async def test_a_change_with_old_times_is_seen_while_the_server_runs(
    bay: Bay, residency: Residency
) -> None:
    """Nobody can set the change time: other weights with the old size and modification time are
    read, also where no sample of them differs.
    """
    await bay.serve("finance", 1)
    file = bay.root / "finance" / WEIGHTS_FILE
    times, content = file.stat(), file.read_bytes()
    other = (bay.make(2) / WEIGHTS_FILE).read_bytes()
    assert len(other) == len(content)
    file.write_bytes(other)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fingerprints, "_samples", lambda file: [])
        await bay.look()
    assert bay.live("finance") == bay.version("finance", 2)


async def test_a_directory_that_was_never_there_stops_the_start(bay: Bay) -> None:
    """A directory that is missing at the start is a mistake in the settings."""
    bay.root.rmdir()
    with pytest.raises(SetupError):
        await bay.reconciler.read_directory()


async def test_a_store_that_cannot_be_used_is_tried_again(bay: Bay, residency: Residency) -> None:
    """While the disk refuses, the folder is rejected with that reason; when it works again, the
    folder is served.
    """
    old = await bay.serve("finance", 1)
    work = bay.folder / "store" / "work"
    shutil.rmtree(work)
    work.write_text("in the way")
    bay.put("finance", 2)
    await bay.look()
    assert bay.live("finance") == old
    assert bay.state("finance") == "rejected"
    assert [reason.code for reason in bay.status("finance").reasons] == ["store_write"]
    work.unlink()
    work.mkdir()
    await bay.look()
    assert bay.live("finance") == bay.version("finance", 2)


async def test_a_store_that_is_gone_does_not_stop_the_loop(bay: Bay, residency: Residency) -> None:
    """The loop goes on without the disk, and serves again when it is back."""
    running = asyncio.create_task(bay.reconciler.run())
    await bay.serve("finance", 1)
    store = bay.folder / "store"
    store.rename(bay.folder / "elsewhere")
    bay.put("finance", 2)
    bay.take_away("shop")
    await asyncio.sleep(10 * POLL_S)
    assert not running.done()
    shutil.rmtree(store, ignore_errors=True)
    (bay.folder / "elsewhere").rename(store)
    await asyncio.sleep(2 * POLL_S)
    assert bay.live("finance") == bay.version("finance", 2)
    running.cancel()


async def test_a_folder_that_finds_a_bug_stops_no_other(
    bay: Bay, residency: Residency, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder whose check raises anything is rejected, and the others are served."""

    def stumble(folder: Path, name: str, *rest: object, **options: object) -> Version:
        if name == "odd":
            raise ZeroDivisionError
        return ingest(folder, name, *rest, **options)  # type: ignore[arg-type]

    ingest = bay.store.ingest
    monkeypatch.setattr(bay.store, "ingest", stumble)
    bay.put("odd", 1)
    bay.put("tax", 2)
    await bay.look()
    assert bay.state("odd") == "rejected"
    assert [reason.code for reason in bay.status("odd").reasons] == ["internal"]
    assert bay.live("tax") == bay.version("tax", 2)


async def test_a_look_that_finds_a_bug_is_not_the_last(
    bay: Bay, residency: Residency, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has it, and the timer looks again."""

    def stumble(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError

    running = asyncio.create_task(bay.reconciler.run())
    await quiet()
    with monkeypatch.context() as patch, capture_logs() as logged:
        patch.setattr(scanner, "scan", stumble)
        await asyncio.sleep(POLL_S)
    assert [line["event"] for line in logged if line.get("exc_info")] == ["bug"]
    bay.put("finance", 1)
    await asyncio.sleep(POLL_S)
    assert bay.live("finance")
    running.cancel()


async def test_a_long_read_holds_up_no_removal(
    bay: Bay, residency: Residency, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder on a disk that hangs delays no other adapter."""
    may_end = asyncio.Event()

    def hang(work: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        async def end() -> Any:
            await may_end.wait()
            return await begin(work, *arguments)

        is_slow = "slow" in getattr(work, "args", ())
        return asyncio.ensure_future(end()) if is_slow else begin(work, *arguments)

    begin = ingest._begin
    monkeypatch.setattr(ingest, "_begin", hang)
    await bay.serve("finance", 1)
    running = asyncio.create_task(bay.reconciler.run())
    bay.put("slow", 2)
    bay.reconciler.look_again()
    await quiet()
    bay.take_away("finance")
    bay.put("tax", 3)
    await asyncio.sleep(2 * POLL_S)
    assert bay.registry.names() == ("tax",)
    may_end.set()
    await quiet()
    assert set(bay.registry.names()) == {"slow", "tax"}
    running.cancel()


async def test_a_store_that_cannot_be_swept_is_reported_once(
    bay: Bay, residency: Residency, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again at each look, without a word."""

    def fill(*arguments: object) -> None:
        raise SetupError("the disk is full")

    running = asyncio.create_task(bay.reconciler.run())
    await bay.serve("finance", 1)
    with monkeypatch.context() as patch:
        patch.setattr(bay.store, "sweep", fill)
        bay.put("finance", 2)
        await asyncio.sleep(5 * POLL_S)
        assert bay.happened().count("scan") == 1
    bay.put("finance", 3)
    bay.put("finance", 4)
    await asyncio.sleep(2 * POLL_S)
    assert bay.happened().count("scan") == 1
    running.cancel()


async def test_a_socket_is_no_file_and_will_be_none(
    bay: Bay, residency: Residency, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with a lasting fault is not read again before it changes."""
    folder = bay.make(1)
    (folder / WEIGHTS_FILE).unlink()
    monkeypatch.chdir(folder)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(WEIGHTS_FILE)
        folder.rename(bay.root / "odd")
        for _ in range(3):
            await bay.look()
    assert bay.happened(adapter="odd") == ["rejected"]


async def test_a_twin_is_served_once_the_other_is_gone(bay: Bay, residency: Residency) -> None:
    """A name that differs only in case is refused as long as the other is there."""
    await bay.serve("finance", 1)
    bay.put("Finance", 2)
    await bay.look()
    assert bay.state("Finance") == "rejected"
    bay.take_away("finance")
    await bay.look()
    assert bay.registry.names() == ("Finance",)


async def test_a_record_that_cannot_be_written_costs_no_request(
    bay: Bay, residency: Residency
) -> None:
    """The swap goes on; only a restart would not know of it before the disk takes it."""
    bay.registry._table.records = RecordKeeper(bay.store.records("bay"))
    await bay.serve("finance", 1)
    assert bay.registry.flush(30)
    records = bay.folder / "store" / "records" / "bay"
    shutil.rmtree(records)
    records.write_text("in the way")
    await bay.serve("finance", 2)
    assert bay.state("finance") == "ready"

    records.unlink()
    records.mkdir()
    assert bay.registry.flush(30)
    assert (
        bay.store.records("bay").load()["finance"].source_digest == bay.version("finance", 2).digest
    )


async def test_a_folder_that_still_changes_is_pending(tmp_path: Path, shapes: BaseShapes) -> None:
    """It is not read before it has been quiet for long enough, and the next look is due when it may
    be.
    """
    bay = Bay(tmp_path, shapes, settle_s=5.0)
    making.make_adapter(bay.root / "finance")
    wait_s = await bay.reconciler.reconcile()
    assert 0 < wait_s <= 5.0
    assert bay.state("finance") == "pending"
    assert not bay.in_store()
    bay.store.close()


async def test_a_folder_renamed_into_place_counts_at_once(
    tmp_path: Path, shapes: BaseShapes
) -> None:
    """A finished folder need not be watched for changes."""
    bay = Bay(tmp_path, shapes, settle_s=3600.0)
    fresh = bay.make(1)
    os.utime(fresh, (0, 0))  # its last file came long before it gets its name
    fresh.rename(bay.root / "finance")
    await bay.reconciler.reconcile()
    assert bay.live("finance") == bay.version("finance", 1)
    bay.store.close()


async def test_the_start_gives_up_on_a_folder_that_never_rests(
    tmp_path: Path, shapes: BaseShapes
) -> None:
    """After twice the settling time the server starts without it."""
    bay = Bay(tmp_path, shapes, settle_s=3600.0, poll_s=10.0)
    making.make_adapter(bay.root / "finance")
    await bay.reconciler.read_directory()
    assert bay.reconciler.has_read_directory
    assert asyncio.get_running_loop().time() == pytest.approx(7200, abs=20)
    bay.store.close()


async def test_the_start_waits_for_folders_to_settle_however_short_the_timer(
    tmp_path: Path, shapes: BaseShapes
) -> None:
    """Whether the declared set is loaded does not depend on how often the timer looks."""
    bay = Bay(tmp_path, shapes, settle_s=5.0, poll_s=1.0)
    making.make_adapter(bay.root / "finance")
    waiting = asyncio.create_task(bay.reconciler.read_directory())
    await asyncio.sleep(3)
    assert not bay.reconciler.has_read_directory
    waiting.cancel()
    bay.store.close()


async def test_the_timer_looks_when_nothing_wakes(bay: Bay, residency: Residency) -> None:
    """A change without an event is found within the time between two looks."""
    running = asyncio.create_task(bay.reconciler.run())
    await quiet()
    bay.put("finance", 1)
    await quiet()
    assert bay.live("finance") is None
    await asyncio.sleep(POLL_S)
    assert bay.live("finance") is not None
    running.cancel()


async def test_a_wake_looks_at_once(bay: Bay, residency: Residency) -> None:
    """An event is followed by a look without waiting for the timer, also when it comes during a
    look.
    """
    running = asyncio.create_task(bay.reconciler.run())
    await quiet()
    bay.put("finance", 1)
    bay.reconciler.look_again()
    await quiet()
    assert bay.live("finance") is not None
    running.cancel()


async def test_a_wake_during_a_look_is_not_lost(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """A change that comes while the loop is busy is dealt with as soon as it no longer is."""
    running = asyncio.create_task(bay.reconciler.run())
    await quiet()
    version = bay.version("finance", 1)
    engine.hold(f"load {version.id}")
    bay.put("finance", 1)
    bay.reconciler.look_again()
    await quiet()
    bay.put("shop", 2)
    bay.reconciler.look_again()
    engine.release(f"load {version.id}")
    await quiet()
    assert bay.registry.names() == ("finance", "shop")
    running.cancel()


async def test_looks_that_meet_make_each_change_once(bay: Bay, engine: MortalEngine) -> None:
    """Looks of admins beside the loop's own load each version once."""
    bay.put("finance", 1)
    await bay.reconciler.read_directory()
    bay.residency(engine)
    looks = [asyncio.create_task(bay.reconciler.reconcile()) for _ in range(3)]
    running = asyncio.create_task(bay.reconciler.run())
    version = await bay.serve("finance", 2)
    await asyncio.gather(*looks)
    running.cancel()
    await bay.reconciler.stop()
    assert engine.steps.count(f"load {version.id}") == 1


async def test_stop_lets_go_of_what_drains(bay: Bay, residency: Residency) -> None:
    """A request that never ends keeps no task alive after the stop."""
    await bay.serve("finance", 1)
    bay.registry.acquire("finance")
    await bay.serve("finance", 2)
    await bay.reconciler.stop()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_restart_serves_what_was_served_until_the_engine_has_the_next(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """A folder that changed while the server was down is loaded before its name flips, as at any
    other time.
    """
    old = await bay.serve("finance", 1)
    bay.put("finance", 2)
    bay.restart()
    await bay.reconciler.read_directory()
    assert bay.live("finance") == old
    assert bay.state("finance") == "pending"
    assert bay.reconciler.declared() == (old, bay.version("finance", 2))
    bay.residency(MortalEngine(up=True))
    await bay.look()
    assert bay.live("finance") == bay.version("finance", 2)


async def test_a_version_that_the_engine_refused_is_not_live_after_a_restart(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """The last good one is, and the refusal is shown again when the engine has refused again."""
    old, refused = await bay.serve("finance", 1), bay.version("finance", 2)
    engine.fail(f"load {refused.id}", REFUSAL)
    bay.put("finance", 2)
    await bay.look()
    assert bay.state("finance") == "failed"
    again = MortalEngine(up=True)
    again.fail(f"load {refused.id}", REFUSAL)
    await bay.restarted(again)
    assert bay.live("finance") == old
    assert bay.state("finance") == "failed"
    with bay.registry.acquire("finance") as lease:
        assert lease.version == old


async def test_a_folder_that_turned_bad_while_the_server_was_down(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """The last good version is served, beside the reasons."""
    old = await bay.serve("finance", 1)
    bay.put_broken("finance")
    await bay.restarted(engine)
    assert bay.live("finance") == old
    assert bay.state("finance") == "rejected"


async def test_a_folder_that_cannot_be_looked_at_after_a_restart(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """Its name is sound, so what was live is served."""
    old = await bay.serve("finance", 1)
    bay.take_away("finance")
    (bay.root / "finance").symlink_to("finance")
    await bay.restarted(engine)
    assert [reason.code for reason in bay.status("finance").reasons] == ["unreadable"]
    assert bay.live("finance") == old


async def test_a_folder_that_is_being_written_after_a_restart(
    tmp_path: Path, shapes: BaseShapes
) -> None:
    """Until it has come to rest, what was live is served; not where the name leads out of the
    directory by now.
    """
    bay = Bay(tmp_path, shapes, settle_s=3600.0)
    fresh = bay.make(1)
    os.utime(fresh, (0, 0))
    fresh.rename(bay.root / "finance")
    await bay.reconciler.reconcile()
    bay.touch("finance")
    bay.restart()
    await bay.reconciler.read_directory()
    assert bay.live("finance") == bay.version("finance", 1)
    (bay.root / "finance").rename(tmp_path / "outside")
    (bay.root / "finance").symlink_to(tmp_path / "outside")
    os.utime(tmp_path / "outside" / CONFIG_FILE)
    (tmp_path / "outside" / WEIGHTS_FILE).unlink()
    bay.restart()
    await bay.reconciler.reconcile()
    assert (bay.live("finance"), bay.state("finance")) == (None, "pending")
    bay.store.close()


async def test_a_former_version_is_not_served_under_stricter_checks(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """A version that an earlier server accepted still has to pass this one's checks."""
    await bay.serve("finance", 1)
    bay.put_broken("finance")
    bay.checks = replace(bay.checks, refuse_foreign_base=True)
    await bay.restarted(engine)
    assert bay.live("finance") is None


async def test_an_unloaded_adapter_stays_away_over_a_restart(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """An unloaded adapter returns when its folder changes, or goes and comes back."""
    await bay.serve("finance", 1)
    await bay.changes.withdraw("finance", who=ADMIN)
    for _ in range(2):
        await bay.restarted(engine)
        assert bay.live("finance") is None
        assert bay.state("finance") == "removed"
    bay.put("finance", 2)
    await bay.look()
    assert bay.live("finance") == bay.version("finance", 2)
    await bay.serve("shop", 3)  # which shows that the volume is there
    await bay.changes.withdraw("finance", who=ADMIN)
    bay.take_away("finance")
    await bay.restarted(engine)
    await bay.look()
    assert [status.name for status in bay.registry.snapshot()] == ["shop"]


async def test_a_change_that_finds_no_place_holds_up_no_other(
    bay: Bay, engine: MortalEngine
) -> None:
    """Its neighbours swap, appear and go meanwhile, and the loop looks on."""
    bay.residency(engine, capacity=3)
    stuck, quick = bay.version("ads", 2), bay.version("bank", 4)
    await bay.serve("ads", 1)
    await bay.serve("bank", 3)
    running = asyncio.create_task(bay.reconciler.run())
    engine.hold(f"load {stuck.id}")
    bay.put("ads", 2)
    bay.put("bank", 4)
    bay.put("law", 5)
    bay.reconciler.look_again()
    await quiet()
    assert (bay.state("ads"), bay.live("ads")) == ("loading", bay.version("ads", 1))
    assert (bay.live("bank"), bay.live("law")) == (quick, bay.version("law", 5))
    bay.take_away("law")
    bay.reconciler.look_again()
    await asyncio.sleep(2 * REMOVAL_CONFIRM_S)
    assert bay.live("law") is None
    engine.release(f"load {stuck.id}")
    await quiet()
    assert bay.live("ads") == stuck
    running.cancel()


async def test_a_folder_removed_while_its_swap_waits_goes_at_once(
    bay: Bay, engine: MortalEngine
) -> None:
    """Nobody waits for the load, and what it loads leaves the engine again."""
    bay.residency(engine)
    await bay.serve("ads", 1)
    new = bay.version("ads", 2)
    engine.hold(f"load {new.id}")
    bay.put("ads", 2)
    running = asyncio.create_task(bay.reconciler.run())
    await quiet()
    bay.take_away("ads")
    bay.reconciler.look_again()
    await asyncio.sleep(2 * REMOVAL_CONFIRM_S)
    assert bay.live("ads") is None
    engine.release(f"load {new.id}")
    await asyncio.sleep(POLL_S)
    assert not engine.loaded
    assert not bay.in_store()
    assert not bay.registry.snapshot()
    running.cancel()


async def test_a_rollback_of_what_goes_meanwhile_is_a_conflict(
    bay: Bay, engine: MortalEngine
) -> None:
    """A name that was taken away while its former version was loaded does not come back."""
    bay.residency(engine)
    old, _ = await bay.serve("ads", 1), await bay.serve("ads", 2)
    await quiet()
    engine.hold(f"load {old.id}")
    rolling = asyncio.create_task(bay.changes.roll_back("ads", None, who=ADMIN))
    await quiet()
    bay.take_away("ads")
    await bay.look()
    engine.release(f"load {old.id}")
    with pytest.raises(AdapterConflict, match="changed meanwhile"):
        await rolling
    await quiet()
    assert not engine.loaded
    assert not bay.registry.names()


async def test_many_folders_are_read_at_once(bay: Bay, residency: Residency) -> None:
    """More than there are turns; each is live with its own content."""
    names = [f"a{number:02}" for number in range(20)]
    for number, name in enumerate(names):
        bay.put(name, number)
    await bay.look()
    assert [bay.live(name) for name in names] == [
        bay.version(name, number) for number, name in enumerate(names)
    ]
    assert len(bay.in_store()) == len(names)


async def test_a_mounted_volume_that_is_swapped_by_its_link(bay: Bay, residency: Residency) -> None:
    """Kubernetes shows files through `..data`, a link to a dated folder, and exchanges all of them
    by exchanging it.
    """

    def mount(weights: int) -> None:
        dated = bay.root / "finance" / f"..2026_{weights}"
        bay.make(weights).rename(dated)
        (bay.root / "finance" / "..data_tmp").symlink_to(dated.name)
        (bay.root / "finance" / "..data_tmp").rename(bay.root / "finance" / "..data")

    (bay.root / "finance").mkdir()
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        (bay.root / "finance" / name).symlink_to(f"..data/{name}")
    for weights in (1, 2):
        mount(weights)
        await bay.look()
        assert bay.live("finance") == bay.version("finance", weights)


async def test_two_servers_share_a_store_and_a_directory(bay: Bay, shapes: BaseShapes) -> None:
    """Each clears only what neither needs; a restart of one takes nothing from the other, and keeps
    the other's pin.
    """
    here, other = bay.residency(MortalEngine(up=True)), Bay.__new__(Bay)
    other.__dict__.update(bay.__dict__)
    other._open()
    there = other.residency(MortalEngine(up=True))
    for weights in range(5):
        bay.put("finance", weights)
        await bay.look()
        if weights % 2:
            await other.look()
    assert bay.live("finance") == bay.version("finance", 4)
    assert other.live("finance") == bay.version("finance", 3)
    kept = {version.digest for server in (bay, other) for version in server.status("finance").kept}
    assert bay.in_store() == kept
    bay.registry.set_pinned("finance", True)
    await other.look()
    await bay.look()
    for server, residency in ((bay, here), (other, there)):
        version = server.live("finance")
        assert version == bay.version("finance", 4)
        assert version.path.exists()
        await residency.ensure(version)
    other.restart()
    assert other.status("finance").pinned
    other.store.close()


async def test_a_loop_that_is_woken_as_it_is_stopped_stops(bay: Bay, residency: Residency) -> None:
    """The last admin call and the end of the server may come at one moment."""
    running = asyncio.create_task(bay.reconciler.run())
    await quiet()
    bay.reconciler.look_again()
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running}, timeout=POLL_S)
    assert running.cancelled()


async def test_a_stop_leaves_every_event_on_disk(bay: Bay, engine: MortalEngine) -> None:
    """What happened last is what an administrator looks for after a restart."""
    bay.residency(engine)
    await bay.serve("ads", 1)
    await bay.reconciler.stop()
    lines = (bay.folder / "store" / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["what"] for line in lines] == bay.happened()


async def test_a_rescan_that_could_not_look_says_so(bay: Bay) -> None:
    """Why the last look failed is known until one succeeds."""
    assert bay.reconciler.scan_failure is None
    bay.root.rename(bay.folder / "elsewhere")
    await bay.reconciler.reconcile()
    assert "cannot be listed" in (bay.reconciler.scan_failure or "")
    (bay.folder / "elsewhere").rename(bay.root)
    await bay.reconciler.reconcile()
    assert bay.reconciler.scan_failure is None
