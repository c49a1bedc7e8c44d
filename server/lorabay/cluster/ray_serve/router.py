"""Ray's request router with our choice in it.

Each handle of the deployment has one. Replicas tell once a second which weights they hold. What
this router has sent since then it knows itself. Everything runs on the router's event loop.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from ray.serve.request_router import (
    FIFOMixin,
    PendingRequest,
    ReplicaID,
    RequestRouter,
    RunningReplica,
)

from lorabay.cluster.choice.choice import View, Wish
from lorabay.cluster.choice.chooser import Chooser
from lorabay.cluster.choice.rendezvous import ReplicaId

if TYPE_CHECKING:
    from ray.serve._private.replica_result import ReplicaResult

REMEMBERED_S = 3.0
"""How long an adapter that was sent somewhere counts as held there, until the replica tells."""


class AdapterRouter(FIFOMixin, RequestRouter):  # type: ignore[misc]
    """Sends each request to the replica that its wish, the first argument's, chooses."""

    def initialize_state(self, **_: Any) -> None:
        """Begin with nothing known; Ray calls it once."""
        self._chooser = Chooser()
        self._under_way: dict[str, tuple[ReplicaID, Wish]] = {}
        self._on_the_way: dict[str, tuple[ReplicaID, float]] = {}
        self._sent: dict[tuple[str, ReplicaId], float] = {}
        self._others: dict[ReplicaID, tuple[Any, int]] = {}

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """Return the chosen replica, then all others by their loads in case it takes none."""
        if not candidate_replicas:
            return []

        by_name = {ReplicaId(one.replica_id.unique_id): one for one in candidate_replicas}
        present = {one.replica_id for one in candidate_replicas}
        self._others = {one: told for one, told in self._others.items() if one in present}
        now = time.monotonic()
        self._forget_lost(now)
        loads = {name: self._load(one) for name, one in by_name.items()}
        wish = _wish(pending_request)

        view = self._view(by_name, loads, now)
        chosen = self._chooser.choose(wish, view, sum(loads.values()), now)
        if not wish.anywhere:
            self._sent[wish.key, chosen] = now
        if pending_request is not None:
            request_id = pending_request.metadata.internal_request_id
            self._on_the_way[request_id] = (by_name[chosen].replica_id, now)

        others = sorted((name for name in by_name if name != chosen), key=loads.__getitem__)
        return [[by_name[name]] for name in (chosen, *others)]

    def _get_pending_request_matching_metadata(
        self, request_metadata: Any = None
    ) -> PendingRequest | None:
        """Return the very request that a replica was chosen for: no other one may go there."""
        return self._get_pending_request_matching_internal_request_id(request_metadata)

    def on_request_routed(
        self, pending_request: PendingRequest, replica_id: ReplicaID, result: ReplicaResult
    ) -> None:
        """Count a request as under way."""
        request_id = pending_request.metadata.internal_request_id
        self._on_the_way.pop(request_id, None)
        self._under_way[request_id] = (replica_id, _wish(pending_request))

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """Count it no more."""
        self._on_the_way.pop(internal_request_id, None)
        self._under_way.pop(internal_request_id, None)

    def _forget_lost(self, now: float) -> None:
        """Forget requests that were sent and never arrived: their clients have left."""
        self._on_the_way = {
            request_id: (replica, at)
            for request_id, (replica, at) in self._on_the_way.items()
            if now - at < REMEMBERED_S
        }

    def _load(self, replica: RunningReplica) -> int:
        """Return a replica's requests: those sent from here, and what others have there.

        Others' are what the replica told last beyond ours of that moment. What Ray remembers of a
        queue is no help: it goes on for seconds when requests have ended.
        """
        own = sum(1 for one, _ in self._under_way.values() if one == replica.replica_id)
        own += sum(1 for one, _ in self._on_the_way.values() if one == replica.replica_id)
        stats = replica.routing_stats
        told, others = self._others.get(replica.replica_id, (None, 0))
        if told is not stats:
            others = max(0, stats.get("answering", 0) - own)
            self._others[replica.replica_id] = (stats, others)
        return own + others

    def _view(
        self, by_name: dict[ReplicaId, RunningReplica], loads: dict[ReplicaId, int], now: float
    ) -> View:
        stats = {name: one.routing_stats for name, one in by_name.items()}
        holders = self._holders(stats, now)
        places = {name: one.get("places", 1) for name, one in stats.items()}
        held = Counter(name for own in holders.values() for name in own)
        return View(
            tuple(sorted(by_name)),
            loads,
            holders,
            {name: count - held[name] for name, count in places.items()},
            Counter(wish.key for _, wish in self._under_way.values()),
            min(places.values()),
            min(one.get("window", 1) for one in stats.values()),
        )

    def _holders(
        self, stats: dict[ReplicaId, dict[str, Any]], now: float
    ) -> dict[str, set[ReplicaId]]:
        """Return who holds which weights: as replicas told, and where they were sent just now.

        Where a request is under way its weights are, or are being loaded, however long that takes.
        """
        holders: defaultdict[str, set[ReplicaId]] = defaultdict(set)
        for name, one in stats.items():
            for key in one.get("held", ()):
                holders[key].add(name)

        self._sent = {sent: at for sent, at in self._sent.items() if now - at < REMEMBERED_S}
        for key, name in self._sent:
            if name in stats:
                holders[key].add(name)
        for replica_id, wish in self._under_way.values():
            name = ReplicaId(replica_id.unique_id)
            if name in stats and not wish.anywhere:
                holders[wish.key].add(name)
        return holders


def _wish(pending_request: PendingRequest | None) -> Wish:
    """Return what a call wishes; one that does not say can go anywhere."""
    arguments = [] if pending_request is None else pending_request.args
    wish = getattr(arguments[0], "wish", None) if arguments else None
    return wish if isinstance(wish, Wish) else Wish("", anywhere=True)
