"""Versions of the last run: offered again in this one, withheld for a reason, or gone.

A version that cannot be offered now stays in its adapter's record: only one that is certainly gone
from the store is dropped. Knows nothing of the store, except what it said of each version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.catalog.names import AdapterName
from lorabay.catalog.versions import Digest, Version, Withheld

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lorabay.catalog.registry.adapter_state import Adapter

Found = Version | Withheld | None
"""What the store says of a version: here it is, why this run does not offer it, or it is gone."""

NOT_READ = Withheld("the store could not be read", is_passing=True)
"""The disk did not say."""


def unread(adapters: Mapping[str, Adapter]) -> Iterator[tuple[AdapterName, Digest]]:
    """Yield the versions of the last run that the disk has not given yet."""
    for name, adapter in adapters.items():
        for digest, withheld in adapter.withheld.items():
            if withheld.is_passing:
                yield AdapterName(name), digest


def take_up(adapter: Adapter, results: Mapping[Digest, Found]) -> None:
    """Note what became of versions of the last run: `results` are what the store said of them."""
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

    known = [
        digest for digest in adapter.record.kept if digest in offered or digest in adapter.withheld
    ]
    adapter.record = adapter.record.model_copy(update={"kept": tuple(known)})
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
