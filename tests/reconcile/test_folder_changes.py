"""A folder is served when it holds something else, and when it comes back."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from lorabay.catalog.versions import Version
from lorabay.serving.residency import Residency
from tests.faulty_disk import FaultyDisk
from tests.reconcile.changing import copy_in_place, load
from tests.serving.bay import ADMIN, Bay
from tests.serving.mortal_engine import MortalEngine


def change_mode(bay: Bay, name: str) -> None:
    for file in (bay.root / name).iterdir():
        file.chmod(0o600)


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


async def test_what_no_look_has_found_yet_is_unloaded_too(bay: Bay, residency: Residency) -> None:
    """What lies there when an admin unloads is what they do not want."""
    await bay.serve("finance", 1)
    bay.put("finance", 2)
    await bay.changes.withdraw("finance", who=ADMIN)
    await bay.look()
    assert bay.live("finance") is None
    await bay.serve("finance", 3)


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
