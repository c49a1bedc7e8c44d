"""What admins named in an earlier run is served again, from the store."""

from __future__ import annotations

import shutil

import pytest

from lorabay.catalog.admission import Checks
from lorabay.catalog.records import AdminSource
from lorabay.errors import AdapterRejected
from lorabay.serving.residency import Residency
from tests.reconcile.changing import copy_in_place, load
from tests.serving.bay import Bay
from tests.serving.mortal_engine import MortalEngine

REFUSAL = AdapterRejected("finance", ("no such module",))


async def test_what_an_admin_brought_survives_a_restart(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """The store serves it, although the folder that it came from may be gone."""
    path = bay.make(1)
    version = await load(bay, path)
    shutil.rmtree(path)
    await bay.restarted(engine)
    assert bay.live("finance") == version


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
