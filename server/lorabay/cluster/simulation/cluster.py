"""A simulated cluster: its replicas, and what a router sees of them, which is always up to date."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from lorabay.cluster.choice.choice import View
from lorabay.cluster.choice.rendezvous import ReplicaId
from lorabay.cluster.simulation.replica import SimulatedReplica


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a cluster is: replicas, adapters and requests at once in each."""

    replicas: int = 8
    slots: int = 32
    window: int = 64


class Cluster:
    """Replicas, and the counts that a router chooses by. It changes them; a router only reads."""

    def __init__(self, shape: Shape, keys: list[str]) -> None:
        self._keys = keys
        names = tuple(ReplicaId(f"replica-{number}") for number in range(shape.replicas))
        self.replicas = {name: SimulatedReplica(shape.window, shape.slots) for name in names}
        self.total = 0
        self.room: dict[ReplicaId, int] = dict.fromkeys(names, shape.slots)
        self.loads: dict[ReplicaId, int] = dict.fromkeys(names, 0)
        self.running: Counter[str] = Counter()
        self.holders: defaultdict[str, set[ReplicaId]] = defaultdict(set)
        self.view = View(
            names, self.loads, self.holders, self.room, self.running, shape.slots, shape.window
        )

    def give(self, adapter: int, name: ReplicaId) -> None:
        """Count a request that a replica was given."""
        self.total += 1
        self.loads[name] += 1
        self.running[self._keys[adapter]] += 1

    def begin(self, adapter: int, name: ReplicaId, now: float) -> bool:
        """Let a replica begin a request; return whether it had to load the adapter."""
        replica = self.replicas[name]
        was_held = adapter in replica.held

        lost = replica.begin(adapter, now)
        if lost is not None:
            self.holders[self._keys[lost]].discard(name)
        if not was_held:
            self.holders[self._keys[adapter]].add(name)
            self.room[name] -= lost is None
        return not was_held

    def end(self, adapter: int, name: ReplicaId) -> None:
        """Count a request that a replica has answered."""
        self.total -= 1
        self.loads[name] -= 1
        self.running[self._keys[adapter]] -= 1
        self.replicas[name].end(adapter)
