"""The simulator: replays a trace over a cluster, request by request, with one way to choose.

Times are the trace's; a load comes before the request that needs it, and no engine is slower for
having more to do. So it tells loads and balance, and waits only of a kind.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

from lorabay.cluster.choice.choice import Wish
from lorabay.cluster.simulation.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.cluster.choice.rendezvous import ReplicaId
    from lorabay.cluster.simulation.cluster import Shape
    from lorabay.cluster.simulation.policies import Policy
    from lorabay.cluster.simulation.trace import Numbers, Trace


@dataclass(frozen=True)
class Outcome:
    """What a trace came to.

    `work_s` are seconds of computing by replica, `waits_s` what each request waited before its
    first step: in the queue, and for its adapter. `took_s` is how long the simulation ran.
    """

    requests: int
    loads: int
    work_s: Numbers
    waits_s: Numbers
    took_s: float

    @property
    def loads_per_request(self) -> float:
        """Loads of adapters by requests."""
        return self.loads / self.requests

    @property
    def imbalance(self) -> float:
        """The busiest replica's work by the mean: 1 is even."""
        return float(self.work_s.max() / self.work_s.mean())

    def wait_s(self, percentile: float) -> float:
        """Return the wait that this part of the requests, in percent, stayed below."""
        return float(np.percentile(self.waits_s, percentile))


def simulate(trace: Trace, policy: Policy, shape: Shape) -> Outcome:
    """Replay a trace and return what it came to."""
    began = time.perf_counter()
    run = _Run(trace, shape)

    arrivals = zip(trace.at_s.tolist(), _wishes(trace), strict=True)
    for request, (now, wish) in enumerate(arrivals):
        run.advance(now)
        run.give(request, policy.choose(wish, run.cluster, now), now)
    run.advance(float("inf"))

    work: Numbers = np.zeros(shape.replicas)
    np.add.at(work, run.chosen, trace.takes_s)
    took_s = time.perf_counter() - began
    return Outcome(len(trace), run.loads, work, np.array(run.waits_s), took_s)


def _wishes(trace: Trace) -> Iterator[Wish]:
    """Yield what each request wishes, in their order."""
    keys = trace.keys
    for adapter, session in zip(trace.adapter.tolist(), trace.session.tolist(), strict=True):
        yield Wish(keys[adapter], str(session))


class _Run:
    """One replay: who computes what until when."""

    def __init__(self, trace: Trace, shape: Shape) -> None:
        self.cluster = Cluster(shape, trace.keys)
        self.loads = 0
        self.chosen = np.zeros(len(trace), dtype=np.int64)
        self.waits_s = [0.0] * len(trace)
        self._at_s = trace.at_s.tolist()
        self._adapters = trace.adapter.tolist()
        self._takes_s = trace.takes_s.tolist()
        self._load_s = trace.load_s.tolist()
        self._numbers = {name: number for number, name in enumerate(self.cluster.view.replicas)}
        self._ends: list[tuple[float, int, ReplicaId]] = []

    def give(self, request: int, name: ReplicaId, now: float) -> None:
        """Give a request to a replica, where it begins or waits."""
        adapter = self._adapters[request]
        self.chosen[request] = self._numbers[name]
        self.cluster.give(adapter, name)

        replica = self.cluster.replicas[name]
        if replica.waiting or not replica.can_begin(adapter):
            replica.waiting.append(request)
        else:
            self._begin(request, name, now)

    def advance(self, until: float) -> None:
        """Let everything happen that happens before a time."""
        while self._ends and self._ends[0][0] <= until:
            now, request, name = heappop(self._ends)
            self.cluster.end(self._adapters[request], name)

            waiting = self.cluster.replicas[name].waiting
            while waiting and self.cluster.replicas[name].can_begin(self._adapters[waiting[0]]):
                self._begin(waiting.popleft(), name, now)

    def _begin(self, request: int, name: ReplicaId, now: float) -> None:
        adapter = self._adapters[request]
        if self.cluster.begin(adapter, name, now):
            self.loads += 1
            now += self._load_s[adapter]

        self.waits_s[request] = now - self._at_s[request]
        heappush(self._ends, (now + self._takes_s[request], request, name))
