"""The coming up of replicas on Ray: whether all of them are up, and why they will not be.

Ray itself waits for ever for a replica that fits on no machine. Judges what Ray Serve tells at each
look; asks nobody, and waits for nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from ray.serve.schema import ApplicationDetails

logger = structlog.get_logger(__name__)

UP, FAILED, DELETING = "RUNNING", "DEPLOY_FAILED", "DELETING"
"""What Ray calls an application that is up, one that has failed, and one that goes."""
STARTING = "STARTING"
"""What Ray calls a replica that is not up yet."""


class ComingUp:
    """The coming up of one application.

    `place_s` are the seconds that replicas may wait for a place on a machine while none finds one.
    """

    def __init__(self, place_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._place_s = place_s
        self._clock = clock
        self._waiting: frozenset[str] = frozenset()
        self._since = clock()
        self._has_warned = False

    def is_over(self, found: ApplicationDetails | None) -> bool:
        """Return whether all replicas are up; raise SetupError if they will not be."""
        if found is None:
            raise SetupError("the replicas did not come up: their application was deleted")
        if found.status == FAILED:
            raise SetupError(f"the replicas did not come up: {_reason(found)}")

        self._check_places(found)
        is_up: bool = found.status == UP
        return is_up

    def _check_places(self, found: ApplicationDetails) -> None:
        waiting = frozenset(
            replica.replica_id
            for deployment in found.deployments.values()
            for replica in deployment.replicas
            if replica.state == STARTING and replica.node_id is None
        )
        if waiting != self._waiting:
            self._waiting, self._since = waiting, self._clock()
        if not waiting:
            return

        reason = _reason(found)
        if reason and not self._has_warned:
            logger.warning("replicas wait for a place", count=len(waiting), reason=reason)
            self._has_warned = True
        if self._clock() - self._since >= self._place_s:
            raise SetupError(
                f"the replicas did not come up: {len(waiting)} of them found no place within "
                f"{self._place_s:g} s; ask for less (--ray-replicas, --ray-cpus, --ray-gpus) or "
                f"add machines. Ray says: {reason or 'nothing'}"
            )


def _reason(found: ApplicationDetails) -> str:
    """Return what Ray says of the deployments; it is more than it says of the application."""
    told = [deployment.message for deployment in found.deployments.values() if deployment.message]
    return " ".join(told) or found.message
