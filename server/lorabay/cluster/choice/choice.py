"""The choice: one replica for one request, of what is known of the replicas at that moment.

Replicas that hold the adapter come first, then those with room for it, each in the order that its
hash names: as many as it is spread over. What binds the request decides among these, and none gets
much more than the mean. Only a replica that holds the weights may fill its window, so that they
need not be loaded elsewhere. That is consistent hashing with bounded loads, which knows what is
where but does not depend on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple

from lorabay.cluster.choice.rendezvous import ReplicaId, ranked, weight

HOMES = 2
"""Replicas of its order among which an adapter's weights are loaded where there is least to do."""


class Limit(NamedTuple):
    """When a replica is full: at so many times the mean load, but not below a part of its window.

    However idle the others are, one request more hardly slows a replica that is not busy.
    """

    factor: float
    part: float


HELD_ELSEWHERE = Limit(1.25, 0.5)
"""The limit where another replica is as good, such as one that holds the weights, too."""
ROOM_ELSEWHERE = Limit(1.25, 0.75)
"""The limit where the weights are, and would have to be loaded elsewhere."""
NO_ROOM_ELSEWHERE = Limit(1.5, 1.0)
"""The same where they would also evict others' weights, which are then loaded again.

One adapter with two places can leave another one with none, for seconds. And loads are counted a
little too high, since the cluster tells the end of a request after its answer.
"""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a router knows of a request: the weights that it needs, and what binds it.

    `key` is the digest of the weights, or any name for a request that needs the base alone; that
    one is at home `anywhere`.
    """

    key: str
    affinity: str | None = None
    anywhere: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """What a router knows of the replicas; a moment old, which the choice can stand.

    `loads` are the requests that each was given and has not answered. `holders` are the replicas
    that hold an adapter's weights, `room` is for how many more each has room. `running` are an
    adapter's requests on all replicas together.
    """

    replicas: tuple[ReplicaId, ...]
    loads: Mapping[ReplicaId, int]
    holders: Mapping[str, AbstractSet[ReplicaId]]
    room: Mapping[ReplicaId, int]
    running: Mapping[str, int]
    slots: int
    """Adapters that one replica has room for."""
    window: int
    """Requests that one replica computes at once."""
    in_use: Mapping[ReplicaId, AbstractSet[str]] = field(default_factory=dict)
    """The adapters of the requests that each was given and has not answered: none is evicted."""

    def has_place(self, replica: ReplicaId, key: str) -> bool:
        """Return whether an adapter is there, or can be, before another one's requests end."""
        used = self.in_use.get(replica, frozenset())
        return key in used or len(used) < self.slots


def bound(total: int, replicas: int, window: int, limit: Limit = HELD_ELSEWHERE) -> int:
    """Return the load at which a replica is full, where all of them have `total` together.

    As long as some window has a place, that is no more than a window: to wait for the end of
    another request takes longer than to load an adapter.
    """
    share = max(math.ceil(limit.factor * (total + 1) / replicas), int(window * limit.part), 1)
    return min(share, window) if total < replicas * window else share


def choose(wish: Wish, width: int, view: View, total: int) -> ReplicaId:
    """Return the replica for a request whose adapter is spread over `width` replicas.

    `total` is the load of all replicas together. There must be a replica.
    """
    loads = view.loads
    full = bound(total, len(view.replicas), view.window)
    order = _preferred(wish, view)
    if not wish.anywhere:
        # Whoever has no place for the adapter lets its request wait, for as long as answers take.
        order.sort(key=lambda replica: not view.has_place(replica, wish.key))

    free = [replica for replica in order[:width] if loads[replica] < full]
    placing = [replica for replica in free if view.has_place(replica, wish.key)]
    if free:
        return _among(placing or free, wish.affinity, loads)

    # The bound is above the mean, so one of all replicas is always below it.
    other = next(replica for replica in order[width:] if loads[replica] < full)
    holders = view.holders.get(wish.key, frozenset())
    if other in holders:
        return other

    limit = ROOM_ELSEWHERE if view.room[other] > 0 else NO_ROOM_ELSEWHERE
    crowded = bound(total, len(view.replicas), view.window, limit)
    staying = [
        one
        for one in order[:width]
        if one in holders and loads[one] < crowded and view.has_place(one, wish.key)
    ]
    return min(staying, key=loads.__getitem__) if staying else other


def _preferred(wish: Wish, view: View) -> list[ReplicaId]:
    """Return all replicas: those that hold the weights, those with room for them, then the others.

    Each part is in the order of the key. Where a full replica has once sent its requests, the
    weights are used until they are evicted. Where there is room, nobody's are.
    """
    holders = view.holders.get(wish.key, frozenset())
    holding: list[ReplicaId] = []
    with_room: list[ReplicaId] = []
    others: list[ReplicaId] = []
    for replica in ranked(wish.key, view.replicas):
        if replica in holders:
            holding.append(replica)
        elif view.room[replica] > 0:
            with_room.append(replica)
        else:
            others.append(replica)

    _less_loaded_first(with_room, view.loads)
    _less_loaded_first(others, view.loads)
    return holding + with_room + others


def _less_loaded_first(replicas: list[ReplicaId], loads: Mapping[ReplicaId, int]) -> None:
    """Put the least loaded of the first few to the front.

    Of two homes the better one is nearly as good as the best of all, and routers still agree.
    """
    if len(replicas) > 1:
        place = min(range(min(HOMES, len(replicas))), key=lambda i: loads[replicas[i]])
        replicas.insert(0, replicas.pop(place))


def _among(
    free: Sequence[ReplicaId], affinity: str | None, loads: Mapping[ReplicaId, int]
) -> ReplicaId:
    """Return the replica that suits what binds the request, or the one with the least to do."""
    if len(free) == 1:
        return free[0]
    if affinity is None:
        return min(free, key=loads.__getitem__)
    return max(free, key=lambda replica: weight(affinity, replica))
