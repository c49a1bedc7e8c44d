"""What one router knows of the replicas: what each told last, and what was sent there since.

Replicas tell once a second which weights are there, and how many requests each front has there.
That is too rarely for a choice: of many requests at the same moment all would go to one, and those
that have just ended would still count. So this front's own requests are counted here, from the
moment of the choice to the end, and only those of other fronts are taken from what replicas tell.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lorabay.cluster.choice.choice import View, Wish
from lorabay.cluster.choice.rendezvous import ReplicaId

REMEMBERED_S = 3.0
"""How long what was sent somewhere counts there, until it arrives or the replica tells."""

Stats = Mapping[str, Any]
"""What a replica tells of itself: see `ray_serve.application.Replica`."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """A request that was sent to a replica; `lost_at` is None once it has arrived."""

    replica: ReplicaId
    wish: Wish
    lost_at: float | None


class Outlook:
    """The replicas as one router sees them. Times are in seconds, and never go back."""

    def __init__(self) -> None:
        self._told: Mapping[ReplicaId, Stats] = {}
        self._front: str | None = None
        self._requests: dict[str, _Sent] = {}
        self._own: Counter[ReplicaId] = Counter()
        self._weights_sent: dict[tuple[str, ReplicaId], float] = {}

    def hear(self, told: Mapping[ReplicaId, Stats], front: str | None) -> None:
        """Take what all replicas that are there have told last; `front` is this one's name."""
        self._told = told
        self._front = front

    def sent(self, request_id: str, wish: Wish, replica: ReplicaId, now: float) -> None:
        """Count a request where it was sent; it is lost if its client leaves before it arrives."""
        self._put(request_id, _Sent(replica, wish, now + REMEMBERED_S))
        if not wish.anywhere:
            self._weights_sent[wish.key, replica] = now + REMEMBERED_S

    def arrived(self, request_id: str, wish: Wish, replica: ReplicaId) -> None:
        """Count a request at the replica that has taken it, until it has ended."""
        self._put(request_id, _Sent(replica, wish, lost_at=None))

    def ended(self, request_id: str) -> None:
        """Count a request no more; one that is not known is none of ours."""
        request = self._requests.pop(request_id, None)
        if request is not None:
            self._own[request.replica] -= 1

    def load(self, replica: ReplicaId) -> int:
        """Return a replica's requests, ours and other fronts'."""
        fronts: Mapping[str, int] = self._told[replica].get("fronts", {})
        others = sum(count for front, count in fronts.items() if front != self._front)
        return self._own[replica] + others

    def view(self, now: float) -> View:
        """Return what the choice goes by; there must be a replica."""
        self._forget(now)
        told = self._told
        holders = self._holders()
        held = Counter(replica for own in holders.values() for replica in own)
        places = {replica: stats.get("places", 1) for replica, stats in told.items()}
        return View(
            replicas=tuple(sorted(told)),
            loads={replica: self.load(replica) for replica in told},
            holders=holders,
            room={replica: count - held[replica] for replica, count in places.items()},
            running=Counter(
                request.wish.key for request in self._requests.values() if request.lost_at is None
            ),
            slots=min(places.values()),
            window=min(stats.get("window", 1) for stats in told.values()),
        )

    def _put(self, request_id: str, request: _Sent) -> None:
        self.ended(request_id)
        self._requests[request_id] = request
        self._own[request.replica] += 1

    def _forget(self, now: float) -> None:
        """Forget requests that never arrived, and weights that the replica tells of by now."""
        lost = [
            request_id
            for request_id, request in self._requests.items()
            if request.lost_at is not None and request.lost_at <= now
        ]
        for request_id in lost:
            self.ended(request_id)
        self._weights_sent = {sent: at for sent, at in self._weights_sent.items() if at > now}

    def _holders(self) -> dict[str, set[ReplicaId]]:
        """Return who holds which weights: as replicas told, and where they were sent just now.

        Where a request is under way its weights are, or are being loaded, however long that takes.
        """
        holders: defaultdict[str, set[ReplicaId]] = defaultdict(set)
        for replica, stats in self._told.items():
            for key in stats.get("held", ()):
                holders[key].add(replica)

        for key, replica in self._weights_sent:
            if replica in self._told:
                holders[key].add(replica)
        for request in self._requests.values():
            if request.replica in self._told and not request.wish.anywhere:
                holders[request.wish.key].add(request.replica)
        return holders
