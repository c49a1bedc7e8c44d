"""Changes of one adapter that come from both sides, and meet."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import Any

import pytest

from lorabay.errors import AdapterConflict, AdapterRejected
from lorabay.serving.residency import Residency
from tests.reconcile.changing import load
from tests.serving.bay import ADMIN, Bay
from tests.serving.mortal_engine import MortalEngine
from tests.virtual_time import quiet

REFUSAL = AdapterRejected("finance", ("no such module",))


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
