"""Takes names away at once, whatever is under way for them.

A removal does not wait for its turn: it cancels the change under way, and overtakes loads. Knows
nothing of why a name goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lorabay.catalog.versions import Digest
    from lorabay.reconcile.admin_loads import AdminLoads
    from lorabay.reconcile.events import Actor
    from lorabay.reconcile.store_sweep import StoreSweep
    from lorabay.reconcile.swaps import Swaps
    from lorabay.reconcile.turns import Turns


class Removals:
    """The removals of one registry's adapters."""

    def __init__(self, turns: Turns, loads: AdminLoads, swaps: Swaps, sweep: StoreSweep) -> None:
        self._turns = turns
        self._loads = loads
        self._swaps = swaps
        self._sweep = sweep

    def remove(
        self,
        name: str,
        *,
        who: Actor,
        withdrawn: str | None = None,
        withdrawn_digest: Digest | None = None,
    ) -> None:
        """Take a name away; see `Registry.remove` for a folder that is withdrawn with it."""
        self._turns.cancel(name)
        self._loads.overtake(name)
        self._swaps.remove(name, who=who, withdrawn=withdrawn, withdrawn_digest=withdrawn_digest)
        self._sweep.request()
