"""A removal takes effect at once, whatever is under way for the name."""

from __future__ import annotations

import asyncio

from lorabay.catalog.names import AdapterName
from lorabay.reconcile.admin_loads import AdminLoads
from lorabay.reconcile.removals import Removals
from lorabay.reconcile.store_sweep import StoreSweep
from lorabay.reconcile.turns import Turns
from lorabay.serving.residency import Residency
from tests.serving.bay import ADMIN, Bay

FINANCE = AdapterName("finance")


async def test_what_is_under_way_for_a_name_is_called_off(bay: Bay, residency: Residency) -> None:
    """The change is cancelled, the load is overtaken, and what the name left is swept out."""
    version = await bay.serve("finance", 1)
    sweep = StoreSweep(bay.reconciler.ingest, bay.registry.in_use)
    turns, loads = Turns(), AdminLoads()
    changed: list[str] = []

    async def change() -> None:
        await asyncio.sleep(1)
        changed.append("finance")

    turns.start("finance", change)
    with loads.begin(FINANCE) as load:
        await asyncio.sleep(0)
        removals = Removals(turns, loads, bay.reconciler.swaps, sweep)
        removals.remove("finance", who=ADMIN, withdrawn="as it was")
        assert not load.is_wanted()

    await turns.idle()
    assert not changed
    assert bay.live("finance") is None
    assert bay.registry.unwanted.has("finance", "as it was")
    assert version.digest in bay.in_store()
    await sweep.run_if_requested()
    assert not bay.in_store()
