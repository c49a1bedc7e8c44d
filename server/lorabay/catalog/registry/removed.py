"""Names that were taken away: how long each is remembered for its return.

Two clocks count: the one of this server's life, and the wall's, which stamps records and may be
wrong. Knows nothing of how a name is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.catalog.records import Record
from lorabay.catalog.registry.adapter_state import AdapterState

if TYPE_CHECKING:
    from lorabay.catalog.registry.adapter_state import Adapter

REMEMBERED_ANEW_S = 600.0
"""How long a new server remembers, at least, a name that an earlier one took away."""

_PAST = {"kept": (), "source": None, "source_digest": None, "rollback": None, "removed_at": None}
"""Fields of a record that are kept of a name for its return only."""


@dataclass(frozen=True, slots=True)
class RemovedNames:
    """The time for which removed names are remembered: `keep_s` seconds from their removal."""

    keep_s: float
    clock: Callable[[], float]
    wall: Callable[[], float]

    def begin(self, adapter: Adapter) -> None:
        """Remember a name that is taken away now."""
        adapter.forget_at = self.clock() + self.keep_s

    def go_on(self, adapter: Adapter) -> None:
        """Remember a name that an earlier server took away, for what is left of its time.

        The wall clock of either server may be wrong: part of the time has to pass by this one's.
        """
        passed_s = max(0.0, self.wall() - (adapter.record.removed_at or 0.0))
        at_least_s = min(self.keep_s, REMEMBERED_ANEW_S)
        adapter.forget_at = self.clock() + max(at_least_s, self.keep_s - passed_s)

    def due(self, adapters: Mapping[str, Adapter]) -> list[str]:
        """Return the names that were taken away long enough ago."""
        now = self.clock()
        return [
            name
            for name, adapter in adapters.items()
            if adapter.is_removed and adapter.forget_at <= now
        ]


def is_past(adapter: Adapter) -> bool:
    """Return whether a name was taken away, and only its former versions are left of it."""
    if not adapter.is_removed or adapter.state is not AdapterState.REMOVED or adapter.leases:
        return False
    return adapter.record.model_copy(update=_PAST) == Record()
