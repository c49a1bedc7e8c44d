"""What no choice can go below: the loads that the slots alone make necessary.

All slots of all replicas are one pool here, an adapter has one place in it, and a place may be
changed at any time. A cluster can do nothing that such a pool could not.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lorabay.cluster.simulation.trace import Indices, Trace


def fixed(trace: Trace, places: int) -> float:
    """Return the loads a request where the most popular adapters never leave their places.

    Nobody who does not know the future gets below it where requests are independent. Whatever is in
    the places when a request comes was put there without knowing it. So it misses at least as often
    as one asks for an adapter outside the `places` most popular ones.
    """
    counts = np.sort(np.bincount(trace.adapter, minlength=trace.adapters))[::-1]
    outside = int(counts[places:].sum())
    first_loads = int(np.count_nonzero(counts[:places]))
    return (outside + first_loads) / max(len(trace), 1)


def in_use(trace: Trace, places: int) -> float:
    """Return the loads a request where what is in use has a place, and else the most popular.

    The bound of `fixed`, with what it leaves out: a rare adapter takes a place as long as a request
    of it runs. It holds where requests are independent and none waits. Places change without a load
    being counted, but for the one that a request comes for.
    """
    rank = _ranks(trace)
    users = np.zeros(trace.adapters, dtype=np.int64)
    is_used = np.zeros(trace.adapters, dtype=bool)
    ends: list[tuple[float, int]] = []
    loads = 0

    wanted = rank[trace.adapter].tolist()
    arrivals = zip(trace.at_s.tolist(), wanted, trace.takes_s.tolist(), strict=True)
    for now, adapter, takes_s in arrivals:
        while ends and ends[0][0] <= now:
            _, ended = heappop(ends)
            users[ended] -= 1
            is_used[ended] = users[ended] > 0

        if not is_used[adapter]:
            left = places - int(is_used.sum())
            more_popular = adapter - int(is_used[:adapter].sum())
            loads += more_popular >= left
        users[adapter] += 1
        is_used[adapter] = True
        heappush(ends, (now + takes_s, adapter))
    return loads / max(len(trace), 1)


def foreseen(trace: Trace, places: int) -> float:
    """Return the loads a request of one who knows all requests to come: no choice makes fewer.

    Whoever is wanted latest gives up its place (Belady's rule, IBM Systems Journal 5, 1966).
    """
    wanted = trace.adapter.tolist()
    next_at = _next_requests(wanted)
    held: dict[int, int] = {}
    latest: list[tuple[int, int]] = []
    loads = 0

    for adapter, following in zip(wanted, next_at, strict=True):
        if adapter not in held:
            loads += 1
            if len(held) >= places:
                _drop_latest(held, latest)
        held[adapter] = following
        heappush(latest, (-following, adapter))
    return loads / max(len(trace), 1)


def _ranks(trace: Trace) -> Indices:
    """Return the place of each adapter among all, the most popular one first."""
    counts = np.bincount(trace.adapter, minlength=trace.adapters)
    ranks = np.empty(trace.adapters, dtype=np.int64)
    ranks[np.argsort(-counts, kind="stable")] = np.arange(trace.adapters)
    return ranks


def _next_requests(wanted: list[int]) -> list[int]:
    """Return for each request the number of the next one for its adapter."""
    seen: dict[int, int] = {}
    following = [len(wanted)] * len(wanted)
    for number in range(len(wanted) - 1, -1, -1):
        following[number] = seen.get(wanted[number], len(wanted))
        seen[wanted[number]] = number
    return following


def _drop_latest(held: dict[int, int], latest: list[tuple[int, int]]) -> None:
    """Take away the adapter that is wanted latest; entries of former requests are passed over."""
    while True:
        at, adapter = heappop(latest)
        if held.get(adapter) == -at:
            del held[adapter]
            return
