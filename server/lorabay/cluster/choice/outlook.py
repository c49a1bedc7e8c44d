"""What one router knows of the replicas: what each told last, and what was sent there since.

Replicas tell once a second which weights are there, and how many requests each front has there.
That is too rarely for a choice: of many requests at the same moment all would go to one, and those
that have just ended would still count. So this front's own requests are counted here, from the
moment of the choice to the end, and only those of other fronts are taken from what replicas tell.

    sent       a replica was chosen; the request may never arrive, or arrive at another one
    arrived    a replica has taken it
    ended      that replica is done with it, or has refused it

Ray tells the end of a short request before its arrival, and of a refused one after it was sent to
the next replica. So an end counts for the replica that it names alone, and what has ended somewhere
does not arrive there any more.

A replica that has told nothing new for some seconds hangs or is cut off, though the cluster may
need a minute to notice. It is chosen only where all are like that.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from lorabay.cluster.choice.choice import View, Wish
from lorabay.cluster.choice.recent import Recent
from lorabay.cluster.choice.rendezvous import ReplicaId

REMEMBERED_S = 3.0
"""How long what was sent somewhere counts there, until it arrives or the replica tells."""

SILENT_S = 5.0
"""How long a replica may tell nothing new; it should once a second."""

PLACES, WINDOW = 64, 64
"""What a replica has room for, in adapters and in requests at once, as long as none has told: so
each adapter gets one home from the beginning.
"""

Stats = Mapping[str, Any]
"""What a replica tells of itself: see `ray_serve.application.Replica`."""


class _Request(NamedTuple):
    """A request that is counted at a replica."""

    replica: ReplicaId
    wish: Wish


class Outlook:
    """The replicas as one router sees them. Times are in seconds, and never go back."""

    def __init__(self) -> None:
        self._front: str | None = None
        self._told: Mapping[ReplicaId, Stats] = {}
        self._news: dict[ReplicaId, tuple[int | None, float]] = {}
        """The number of what each replica told last, and when it was new."""
        self._requests: dict[str, _Request] = {}
        self._sent: Recent[str] = Recent(REMEMBERED_S)
        """Those of them that have not arrived."""
        self._ended: Recent[tuple[str, ReplicaId]] = Recent(REMEMBERED_S)
        self._weights_sent: Recent[tuple[str, ReplicaId]] = Recent(REMEMBERED_S)
        self._own: Counter[ReplicaId] = Counter()
        self._running: Counter[str] = Counter()
        self._in_use: Counter[tuple[str, ReplicaId]] = Counter()

    def hear(self, told: Mapping[ReplicaId, Stats], front: str | None, now: float) -> None:
        """Take what all replicas that are there have told last; `front` is this one's name."""
        self._told = told
        self._front = front

        former = self._news
        self._news = {}
        for replica, stats in told.items():
            number = stats.get("told", 0)
            last, _ = known = former.get(replica, (None, now))
            self._news[replica] = known if last == number else (number, now)

    def knows(self, request_id: str) -> bool:
        """Return whether a request was sent before: it was refused, or its replica has died."""
        if request_id in self._requests:
            return True
        return any((request_id, replica) in self._ended for replica in self._told)

    def sent(self, request_id: str, wish: Wish, replica: ReplicaId, now: float) -> None:
        """Count a request where it was sent; it is lost if its client leaves before it arrives."""
        self._put(request_id, _Request(replica, wish))
        self._sent.note(request_id, now)
        self._ended.discard((request_id, replica))
        if not wish.anywhere:
            self._weights_sent.note((wish.key, replica), now)

    def arrived(self, request_id: str, wish: Wish, replica: ReplicaId) -> None:
        """Count a request at the replica that has taken it, until it has ended."""
        if (request_id, replica) in self._ended:
            return
        self._put(request_id, _Request(replica, wish))

    def ended(self, request_id: str, replica: ReplicaId, now: float) -> None:
        """Count a request no more at this replica."""
        self._ended.note((request_id, replica), now)
        request = self._requests.get(request_id)
        if request is not None and request.replica == replica:
            self._take(request_id)

    def load(self, replica: ReplicaId) -> int:
        """Return a replica's requests, ours and other fronts'."""
        fronts: Mapping[str, int] = self._told[replica].get("fronts", {})
        others = sum(count for front, count in fronts.items() if front != self._front)
        return self._own[replica] + others

    def view(self, now: float) -> View:
        """Return what the choice goes by: the replicas that are heard of. There must be one."""
        self._forget(now)
        told = {one: stats for one, stats in self._told.items() if not self._is_silent(one, now)}
        told = told or dict(self._told)

        # All are made alike, so what some have told holds for one that has just come up.
        fewest = min((one["places"] for one in told.values() if "places" in one), default=PLACES)
        window = min((one["window"] for one in told.values() if "window" in one), default=WINDOW)
        places = {replica: stats.get("places", fewest) for replica, stats in told.items()}
        holders = self._holders(told)
        room = _room(places, holders)
        if min(room.values()) < 0 < max(room.values()):
            self._correct(holders, room)
            room = _room(places, holders)
        return View(
            replicas=tuple(sorted(told)),
            loads={replica: self.load(replica) for replica in told},
            holders=holders,
            room=room,
            running=self._running,
            slots=fewest,
            window=window,
            in_use=self._used(),
        )

    def _used(self) -> dict[ReplicaId, set[str]]:
        """Return the adapters of the requests that are counted at each replica."""
        used: defaultdict[ReplicaId, set[str]] = defaultdict(set)
        for key, replica in self._in_use:
            used[replica].add(key)
        return used

    def _is_silent(self, replica: ReplicaId, now: float) -> bool:
        _, heard_at = self._news[replica]
        return now - heard_at >= SILENT_S

    def _holders(self, told: Mapping[ReplicaId, Stats]) -> dict[str, set[ReplicaId]]:
        """Return who holds which weights: as replicas told, and where they were sent just now.

        Where a request is under way its weights are, or are being loaded, however long that takes.
        """
        holders: defaultdict[str, set[ReplicaId]] = defaultdict(set)
        for replica, stats in told.items():
            for key in stats.get("held", ()):
                holders[key].add(replica)
        for key, replica in (*self._weights_sent, *self._in_use):
            if replica in told:
                holders[key].add(replica)
        return holders

    def _correct(
        self, holders: Mapping[str, set[ReplicaId]], room: Mapping[ReplicaId, int]
    ) -> None:
        """Take from a replica that cannot hold all that was sent there what it does not tell of.

        Its adapters evict one another, and elsewhere there is room.
        """
        for replica, free in room.items():
            if free >= 0:
                continue
            held = set(self._told[replica].get("held", ()))
            for key, own in holders.items():
                if key not in held:
                    own.discard(replica)
                    self._weights_sent.discard((key, replica))

    def _forget(self, now: float) -> None:
        """Forget requests that never arrived, and what replicas have told by now."""
        for request_id in self._sent.forget(now):
            self._take(request_id)
        self._ended.forget(now)
        self._weights_sent.forget(now)

    def _put(self, request_id: str, request: _Request) -> None:
        self._take(request_id)
        self._requests[request_id] = request
        replica, wish = request
        self._own[replica] += 1
        self._running[wish.key] += 1
        if not wish.anywhere:
            self._in_use[wish.key, replica] += 1

    def _take(self, request_id: str) -> None:
        self._sent.discard(request_id)
        request = self._requests.pop(request_id, None)
        if request is None:
            return
        replica, wish = request
        _count_down(self._own, replica)
        _count_down(self._running, wish.key)
        if not wish.anywhere:
            _count_down(self._in_use, (wish.key, replica))


def _room(
    places: Mapping[ReplicaId, int], holders: Mapping[str, set[ReplicaId]]
) -> dict[ReplicaId, int]:
    """Return for how many more adapters each replica has room, if `holders` are right."""
    held = Counter(replica for own in holders.values() for replica in own)
    return {replica: count - held[replica] for replica, count in places.items()}


def _count_down(counts: Counter[Any], key: Any) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
