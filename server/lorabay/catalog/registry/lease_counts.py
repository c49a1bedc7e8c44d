"""How many requests hold each version, and who waits until nobody does.

Runs on one event loop without a lock: taking a lease and releasing it are one step each. Knows
nothing of which version a request means.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from functools import partial
from typing import TYPE_CHECKING

from lorabay.catalog.registry.leases import Lease

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lorabay.catalog.registry.adapter_state import Adapter
    from lorabay.catalog.versions import Digest, Version


class LeaseCounts:
    """The leases on versions of `adapters`; `fell_idle` hears of each version's last one."""

    def __init__(
        self, adapters: Mapping[str, Adapter], *, fell_idle: Callable[[Version], None]
    ) -> None:
        self._adapters = adapters
        self._fell_idle = fell_idle
        self._by_weights: Counter[Digest] = Counter()
        """Leases by weights, whatever the versions are that share them."""
        self._waiters: defaultdict[Version, list[asyncio.Future[None]]] = defaultdict(list)

    def take(self, version: Version) -> Lease:
        """Return one more lease on a version of a known adapter."""
        self._adapters[version.adapter].leases[version] += 1
        self._by_weights[version.weights] += 1
        return Lease(version, partial(self._released, version))

    def on(self, version: Version) -> int:
        """Return how many requests hold a version."""
        adapter = self._adapters.get(version.adapter)
        return adapter.leases[version] if adapter is not None else 0

    def on_weights(self, weights: Digest) -> int:
        """Return how many requests hold a version that has these weights."""
        return self._by_weights[weights]

    async def idle(self, version: Version) -> None:
        """Return when nobody holds the version."""
        # Somebody may take a lease between the last release and the wake-up.
        while self.on(version):
            waiter = asyncio.get_running_loop().create_future()
            self._waiters[version].append(waiter)
            await waiter

    def _released(self, version: Version) -> None:
        self._by_weights[version.weights] -= 1
        if not self._by_weights[version.weights]:
            del self._by_weights[version.weights]

        leases = self._adapters[version.adapter].leases
        leases[version] -= 1
        if leases[version]:
            return

        # Gone from the counter before anybody hears of it: whoever is called looks there.
        del leases[version]
        for waiter in self._waiters.pop(version, ()):
            if not waiter.done():
                waiter.set_result(None)
        self._fell_idle(version)
