"""Ways to choose a replica: ours, and those that it is compared with."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from lorabay.cluster.choice.choice import Wish
from lorabay.cluster.choice.chooser import Chooser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.cluster.choice.choice import View
    from lorabay.cluster.choice.rendezvous import ReplicaId
    from lorabay.cluster.simulation.cluster import Cluster


class Policy(Protocol):
    """One way to choose."""

    def choose(self, wish: Wish, cluster: Cluster, now: float) -> ReplicaId:
        """Return the replica for a request that comes `now`."""
        ...


class Random:
    """Any replica."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def choose(self, wish: Wish, cluster: Cluster, now: float) -> ReplicaId:
        """Return any replica."""
        return any_of(cluster.view.replicas, self._random)


class PowerOfTwo:
    """The one of two random replicas that has less to do: Ray's default."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def choose(self, wish: Wish, cluster: Cluster, now: float) -> ReplicaId:
        """Return the less loaded of two."""
        return less_loaded_of_two(cluster.view.replicas, cluster.view, self._random)


class LeastLoaded:
    """The replica that has least to do."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def choose(self, wish: Wish, cluster: Cluster, now: float) -> ReplicaId:
        """Return the least loaded, and any of several."""
        loads = cluster.view.loads
        least = min(loads.values())
        equal = [replica for replica in cluster.view.replicas if loads[replica] == least]
        return any_of(equal, self._random)


class Multiplexing:
    """Ray's multiplexing: a replica that has the adapter, else one with the fewest adapters.

    Of several it is the less loaded of two. While a holder takes requests, nobody else gets them.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def choose(self, wish: Wish, cluster: Cluster, now: float) -> ReplicaId:
        """Return a holder that takes requests, else one with the fewest, else any."""
        view = cluster.view
        holders = sorted(view.holders.get(wish.key, ()))
        taking = _taking(holders, view) or _taking(_with_fewest(cluster), view)
        return less_loaded_of_two(taking or view.replicas, view, self._random)


class Ours:
    """The choice that lorabay's router makes."""

    def __init__(self, seed: int) -> None:
        self.chooser = Chooser()

    def choose(self, wish: Wish, cluster: Cluster, now: float) -> ReplicaId:
        """Return what the chooser returns."""
        return self.chooser.choose(wish, cluster.view, cluster.total, now)


OURS = "lorabay"
POLICIES: Mapping[str, Callable[[int], Policy]] = {
    "random": Random,
    "power of two": PowerOfTwo,
    "least loaded": LeastLoaded,
    "Ray's multiplexing": Multiplexing,
    OURS: Ours,
}
"""Each way by its name; it is made with a seed."""


def any_of(replicas: Sequence[ReplicaId], source: random.Random) -> ReplicaId:
    """Return one of the replicas, of which there must be one at least."""
    return replicas[int(source.random() * len(replicas))]


def less_loaded_of_two(
    replicas: Sequence[ReplicaId], view: View, source: random.Random
) -> ReplicaId:
    """Return the less loaded of two random replicas, of which there must be one at least."""
    one, other = any_of(replicas, source), any_of(replicas, source)
    return one if view.loads[one] <= view.loads[other] else other


def _taking(replicas: Sequence[ReplicaId], view: View) -> Sequence[ReplicaId]:
    """Return the replicas that have room in their windows."""
    return [replica for replica in replicas if view.loads[replica] < view.window]


def _with_fewest(cluster: Cluster) -> Sequence[ReplicaId]:
    """Return the replicas that hold the fewest adapters."""
    most = max(cluster.room.values())
    return [replica for replica in cluster.view.replicas if cluster.room[replica] == most]
