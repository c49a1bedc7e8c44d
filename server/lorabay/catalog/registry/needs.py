"""Which versions the names of a server need, and what keeps one from being forgotten.

Questions over all names, without a change. Knows nothing of the store or the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.catalog.registry.adapter_state import Adapter
    from lorabay.catalog.versions import Digest


def keepers(adapters: Mapping[str, Adapter], digest: Digest) -> list[str]:
    """Return the adapters that keep a version; equal weights may have several names."""
    return [name for name, adapter in adapters.items() if digest in adapter.record.kept]


def needed(adapters: Mapping[str, Adapter]) -> frozenset[Digest]:
    """Return the versions that the store must keep: leased, or named by a record; and weights.

    A record names the live one, those that are kept, offered or not, what the source holds, the
    canary of a rollout, and where a rollback leads.
    """
    digests: set[Digest] = set()
    for adapter in adapters.values():
        for version in (*adapter.kept, *adapter.leases):
            digests |= {version.digest, version.weights}
        digests |= adapter.record.digests
    return frozenset(digests)


def obstacle_to_forgetting(adapters: Mapping[str, Adapter], digest: Digest) -> str | None:
    """Return why a version must stay, as the end of a sentence; None if it may go.

    Live comes first: a version that is live is mostly in use as well.
    """
    for adapter in adapters.values():
        if adapter.live is not None and adapter.live.digest == digest:
            return "live"

    for adapter in adapters.values():
        if any(version.digest == digest for version in adapter.leases):
            return "in use"

    if any(adapter.record.canary == digest for adapter in adapters.values()):
        return "the canary of a rollout; stop that first"

    keeping = keepers(adapters, digest)
    if not keeping:
        return "not kept"

    # After a rollback the source still holds the version that was live. Forgetting it would
    # leave its files in the store, and it could not be brought back.
    folders = [adapters[name] for name in keeping if not adapters[name].is_removed]
    if any(adapter.record.source_digest == digest for adapter in folders):
        return "what the folder holds"
    return None
