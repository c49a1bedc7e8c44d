"""Ray's request router with our choice in it.

Each handle of the deployment has one, and everything runs on its event loop. What it knows of the
replicas is in `choice.outlook`; here is what Ray calls.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ray.serve.request_router import (
    FIFOMixin,
    PendingRequest,
    ReplicaID,
    RequestRouter,
    RunningReplica,
)

from lorabay.cluster.choice.choice import Wish
from lorabay.cluster.choice.chooser import Chooser
from lorabay.cluster.choice.outlook import Outlook
from lorabay.cluster.choice.rendezvous import ReplicaId
from lorabay.cluster.replicas.frames import ReplyTo
from lorabay.cluster.replicas.messages import Errand, Question

if TYPE_CHECKING:
    from ray.serve._private.replica_result import ReplicaResult

    from lorabay.cluster.choice.choice import View


class AdapterRouter(FIFOMixin, RequestRouter):  # type: ignore[misc]
    """Sends each request to the replica that its wish, the first argument's, chooses."""

    def initialize_state(self, **_: Any) -> None:
        """Begin with nothing known; Ray calls it once."""
        self._chooser = Chooser()
        self._outlook = Outlook()
        self._front: str | None = None

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """Return the chosen replica, then all others by their loads in case it takes none.

        What Ray remembers of a replica's queue is no help: it goes on for seconds when requests
        have ended.
        """
        if not candidate_replicas:
            return []

        by_name = {_name(one.replica_id): one for one in candidate_replicas}
        told = {name: one.routing_stats for name, one in by_name.items()}
        now = time.monotonic()
        self._front = _front(pending_request) or self._front
        self._outlook.hear(told, self._front, now)
        view = self._outlook.view(now)
        chosen = self._chosen(pending_request, view, now)

        # Those of which nothing is heard come last.
        others = sorted(
            (name for name in by_name if name != chosen),
            key=lambda name: (name not in view.loads, self._outlook.load(name)),
        )
        return [[by_name[name]] for name in (chosen, *others)]

    def _chosen(self, pending_request: PendingRequest | None, view: View, now: float) -> ReplicaId:
        """Return the replica for a request, and count it there."""
        wish, total = _wish(pending_request), sum(view.loads.values())
        if pending_request is None:
            return self._chooser.choose(wish, view, total, now)

        # Without it Ray asks again without a pause while all replicas refuse.
        pending_request.routing_context.should_backoff = True
        request_id = pending_request.metadata.internal_request_id
        again = self._outlook.knows(request_id)
        chosen = self._chooser.choose(wish, view, total, now, again=again)
        self._outlook.sent(request_id, wish, chosen, now)
        return chosen

    def _get_pending_request_matching_metadata(
        self, request_metadata: Any = None
    ) -> PendingRequest | None:
        """Return the very request that a replica was chosen for: no other one may go there."""
        return self._get_pending_request_matching_internal_request_id(request_metadata)

    def on_request_routed(
        self, pending_request: PendingRequest, replica_id: ReplicaID, result: ReplicaResult
    ) -> None:
        """Count a request at the replica that takes it, which may be another than was chosen."""
        request_id = pending_request.metadata.internal_request_id
        self._outlook.arrived(request_id, _wish(pending_request), _name(replica_id))

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """Count it no more there."""
        self._outlook.ended(internal_request_id, _name(replica_id), time.monotonic())


def _name(replica_id: ReplicaID) -> ReplicaId:
    return ReplicaId(replica_id.unique_id)


def _wish(pending_request: PendingRequest | None) -> Wish:
    """Return what a call wishes; one that does not say can go anywhere."""
    arguments = [] if pending_request is None else pending_request.args
    wishes = [one.wish for one in arguments if isinstance(one, Question | Errand)]
    return wishes[0] if wishes else Wish("", anywhere=True)


def _front(pending_request: PendingRequest | None) -> str | None:
    """Return the name of the front that a call is answered to, which is the one of this router."""
    arguments = [] if pending_request is None else pending_request.args
    fronts = [one.front.name for one in arguments if isinstance(one, ReplyTo)]
    return fronts[0] if fronts else None
