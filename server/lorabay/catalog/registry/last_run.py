"""Versions of the last run: offered again in this one, withheld for a reason, or gone.

A version that cannot be offered now stays in its adapter's record: only one that is certainly gone
from the store is dropped. Knows nothing of the store, except what it said of each version.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lorabay.catalog.names import AdapterName
from lorabay.catalog.registry.adapter_state import AdapterState
from lorabay.catalog.versions import Digest, Version, Withheld
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.catalog.registry.adapter_state import Adapter
    from lorabay.catalog.registry.adapter_table import AdapterTable
    from lorabay.catalog.registry.removed import RemovedNames

Found = Version | Withheld | None
"""What the store says of a version: here it is, why this run does not offer it, or it is gone."""

Wanted = tuple[AdapterName, Digest]
"""A version of an adapter."""

Find = Callable[[Sequence[Wanted]], Sequence[Found]]
"""Asks the store for versions. Raises SetupError if the disk does not say of one of them."""

NOT_READ = Withheld("the store could not be read", is_passing=True)
"""The disk did not say."""


class LastRun:
    """What the records of the last run say of each name, and the store of each version."""

    def __init__(self, table: AdapterTable, removed: RemovedNames) -> None:
        self._table = table
        self._removed = removed
        self._find: Find = lambda wanted: [None] * len(wanted)

    def restore(self, find: Find) -> None:
        """Take up the records of the last run; nothing is live yet. Blocks; raises SetupError.

        What `find` cannot say for now is among the unread versions.
        """
        self._find = find
        names = self._table.load()
        found = self._look_up_all(
            [(name, digest) for name in names for digest in self._table[name].record.kept]
        )
        for name in names:
            adapter = self._table[name]
            kept = adapter.record.kept
            self.take_up(name, {digest: found[name, digest] for digest in kept})
            self._removed.go_on(adapter)
            if adapter.record.kept and not adapter.is_removed:
                adapter.state = AdapterState.PENDING

    def look_up(self, name: AdapterName, digest: Digest) -> Found:
        """Ask the store for a version; blocks, and may be called in any thread."""
        try:
            return self._find([(name, digest)])[0]
        except SetupError:
            return NOT_READ

    def _look_up_all(self, wanted: Sequence[Wanted]) -> Mapping[Wanted, Found]:
        try:
            return dict(zip(wanted, self._find(wanted), strict=True))
        except SetupError:
            # A hiccup at one version says nothing of the others.
            return {one: self.look_up(*one) for one in wanted}

    def unread(self) -> tuple[tuple[AdapterName, Digest], ...]:
        """Return the versions that the disk has not given yet."""
        unread: list[tuple[AdapterName, Digest]] = []
        for name, adapter in self._table.adapters.items():
            for digest, withheld in adapter.withheld.items():
                if withheld.is_passing:
                    unread.append((AdapterName(name), digest))
        return tuple(unread)

    def take_up(self, name: str, results: Mapping[Digest, Found]) -> None:
        """Note what became of versions: `results` are those of `look_up`."""
        adapter = self._table.get(name)
        if adapter is None:
            return

        offered = {version.digest: version for version in adapter.kept}
        for digest, found in results.items():
            if digest not in adapter.record.kept:
                continue  # it has been forgotten meanwhile
            adapter.withheld.pop(digest, None)
            offered.pop(digest, None)
            if isinstance(found, Version):
                offered[digest] = found
            elif found is not None:
                adapter.withheld[digest] = found

        known = tuple(
            digest
            for digest in adapter.record.kept
            if digest in offered or digest in adapter.withheld
        )
        # In memory only: another start may find what this one did not.
        adapter.record = adapter.record.model_copy(update={"kept": known})

        _hold_back_behind_unread(adapter, offered)
        adapter.kept = tuple(offered[digest] for digest in known if digest in offered)


def _hold_back_behind_unread(adapter: Adapter, offered: dict[Digest, Version]) -> None:
    """Offer no former version before the one that was live last has been read.

    A hiccup of the disk must not make the name mean an older one.
    """
    if adapter.live is not None or not adapter.record.kept:
        return
    newest = adapter.withheld.get(adapter.record.kept[0])
    if newest is None or not newest.is_passing:
        return
    adapter.withheld |= dict.fromkeys(offered, newest)
    offered.clear()
