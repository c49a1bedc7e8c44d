"""The application on Ray Serve: so many replicas of one engine, without Ray's own HTTP proxy."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from lorabay.cluster.ray_serve import encryption
from lorabay.cluster.ray_serve.coming_up import DELETING, FAILED, ComingUp
from lorabay.cluster.replicas.outbox import Outboxes
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle
    from ray.serve.schema import ApplicationDetails

    from lorabay.catalog.versions import Digest, Version
    from lorabay.cluster.replicas.engine_replica import EngineReplica
    from lorabay.cluster.replicas.frames import ReplyTo
    from lorabay.cluster.replicas.messages import Errand, Facts, Question

logger = structlog.get_logger(__name__)

ROUTER = "lorabay.cluster.ray_serve.router:AdapterRouter"
DEPLOYMENT = "engine"
STATS_S = 1.0
"""How often routers hear what replicas hold."""
GROW_S = 10.0
"""How long there must be too much to do until a replica is added."""
HEALTH_S, HUNG_S = 2.0, 30.0
"""How often Ray asks whether a replica is well, and how long it may take to answer."""
ENDS_S = 30.0
"""How long the end of replicas may take beside their drain."""
LOOK_S, ASK_S = 0.5, 10.0
"""How often replicas that come up are looked at, and how long one may take to say what it is."""

MakeReplica = Callable[[int], Awaitable["EngineReplica"]]
"""A function that makes and starts a replica, given its rank on its node. It can be pickled."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the replicas run, and what each of them takes.

    `address` is that of a running Ray cluster; None starts one on this machine. `window` are the
    requests that one replica takes at once, `drain_s` the seconds that they have when it must go.
    There may be up to `most` replicas, so many that each has `wanted` requests at once; one that
    was added goes after `idle_s`. `made_of` names what their engines are made of: replicas that an
    earlier front has left are taken over if it is the same, and never if it is empty. `place_s` are
    the seconds that replicas may wait for a place while none finds one: a cluster may have to add a
    machine.
    """

    replicas: int
    window: int
    most: int = 0
    wanted: float = 1.0
    idle_s: float = 300.0
    made_of: str = ""
    address: str | None = None
    name: str = "lorabay-engines"
    cpus: float = 1.0
    gpus: float = 0.0
    drain_s: float = 60.0
    place_s: float = 600.0


class Replica:
    """One replica, as Ray Serve starts and calls it."""

    async def __init__(  # type: ignore[misc]
        self, make: MakeReplica, made_of: str
    ) -> None:
        from ray import serve

        self._made_of = made_of
        self._told = 0
        self._outboxes = Outboxes(encryption=encryption.connecting())
        rank = serve.get_replica_context().rank
        self._replica = await make(rank.local_rank)
        self._ending = asyncio.create_task(self._end_with_engine())

    async def _end_with_engine(self) -> None:
        """End this process when the engine is gone: the cluster replaces it then.

        Without that the replica would refuse each request at once until the cluster has asked for
        its health three times, and choices go to whoever has little to do.
        """
        await self._replica.engine.died()
        logger.error("the engine is gone, and so is its replica")
        await self._outboxes.close()
        os._exit(1)

    async def answer(self, question: Question, reply_to: ReplyTo) -> None:
        """Send a front the messages that answer a request, for as long as it hears them."""
        outbox = await self._outboxes.to(reply_to.front)
        with outbox.answering(reply_to) as send:
            await outbox.while_heard(self._replica.answer(question, send))

    async def prepare(self, errand: Errand) -> None:
        """Load a version."""
        await self._replica.prepare(errand)

    async def prepare_successor(self, version: Version) -> bool:
        """Load a version if another one of its adapter is here."""
        return await self._replica.prepare_successor(version)

    async def forget(self, version: Version) -> None:
        """Drop a version's weights."""
        await self._replica.forget(version)

    async def pin(self, weights: AbstractSet[Digest]) -> None:
        """Let these weights give up their places last."""
        self._replica.pin(weights)

    async def facts(self) -> Facts:
        """Return what fronts must know of the engine."""
        return self._replica.facts()

    async def schemas(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the schemas of bodies."""
        return self._replica.schemas()

    async def made_of(self) -> str:
        """Return what this replica was made of; see `Cluster`."""
        return self._made_of

    async def record_routing_stats(self) -> dict[str, Any]:
        """Return what routers choose by, and how much fronts have here; Ray asks for it.

        Each one has a number: a replica that tells nothing new is silent.
        """
        self._told += 1
        return {
            **self._replica.stats(),
            "told": self._told,
            "fronts": self._outboxes.answers(),
        }

    async def check_health(self) -> None:
        """Raise if the engine is gone; Ray then replaces this replica."""
        await self._replica.engine.beat()

    async def __del__(self) -> None:
        """End the engine; Ray awaits it before the process ends."""
        if hasattr(self, "_replica"):
            self._ending.cancel()
            await self._outboxes.close()
            await self._replica.stop()


class Application:
    """The replicas of one cluster: deployed once, and ended once, by the last one that uses them.

    `is_shared` says whether others use them. `end` may be called while `deploy` goes on in another
    thread, which then gives up.
    """

    def __init__(
        self, cluster: Cluster, make: MakeReplica, is_shared: Callable[[], bool] = lambda: False
    ) -> None:
        self._cluster = cluster
        self._make = make
        self._is_shared = is_shared
        self._started_ray = False
        self._has_deployed = False
        self._busy = threading.Lock()
        self._ending = threading.Event()

    def join(self) -> None:
        """Start or join Ray. Raise SetupError if it cannot be reached, or after `end`."""
        import ray

        with self._busy:
            self._check_wanted()
            if not ray.is_initialized():
                self._join()

    def deploy(self) -> DeploymentHandle:
        """Deploy the replicas on a Ray that was joined, and return a handle once all are up.

        Replicas that an earlier front has left go on if they are made of the same, and it is enough
        if one of them answers. Raises SetupError if replicas do not come up, or if `end` is called
        meanwhile.
        """
        from ray.exceptions import RayError
        from ray.serve.exceptions import RayServeException

        with self._busy:
            try:
                return self._deploy()
            except (RayError, RayServeException, RuntimeError, TimeoutError) as error:
                # It is Ray that has failed: what it runs is left to the next front.
                self._has_deployed = False
                raise SetupError(f"the replicas did not come up: {error}") from error

    def host(self) -> str:
        """Return the address by which this cluster's other hosts reach this one."""
        import ray

        return str(ray.util.get_node_ip_address())

    def end(self) -> None:
        """Drain and end the replicas unless others use them, and Ray if it was started here.

        Idempotent.
        """
        import ray
        from ray import serve

        self._ending.set()
        with self._busy:
            if not ray.is_initialized():
                return
            if self._has_deployed:
                self._has_deployed = False
                if not self._is_shared():
                    self._delete()
            if self._started_ray:
                serve.shutdown()
                ray.shutdown()

    def _delete(self) -> None:
        """Have the replicas drained and ended; Serve waits for a minute of that each time."""
        from ray import serve

        until = time.monotonic() + self._cluster.drain_s + ENDS_S
        while True:
            try:
                serve.delete(self._cluster.name)
            except TimeoutError:
                if time.monotonic() < until:
                    continue
                logger.warning("replicas have not ended in time", name=self._cluster.name)
            return

    def _deploy(self) -> DeploymentHandle:
        from ray import serve

        name = self._cluster.name
        self._check_wanted()
        serve.start(proxy_location="Disabled")

        left = self._found()
        if left is not None and left.status == FAILED and not self._is_left(name):
            # Ray does not try a version again that has failed.
            serve.delete(name)
            left = None

        self._has_deployed = True
        target = serve.RunTarget(self._bound(), name, route_prefix=None)
        (handle,) = serve.run_many([target], wait_for_applications_running=False)
        self._wait(was_there=left is not None and left.status != DELETING)
        return handle

    def _wait(self, *, was_there: bool) -> None:
        """Return once all replicas are up, or those that were there before answer."""
        coming_up = ComingUp(self._cluster.place_s)
        while not (was_there and self._is_left(self._cluster.name)):
            if coming_up.is_over(self._found()):
                return
            self._ending.wait(LOOK_S)
            self._check_wanted()

    def _check_wanted(self) -> None:
        if self._ending.is_set():
            raise SetupError("the server was ended before its replicas were up")

    def _found(self) -> ApplicationDetails | None:
        """Return what Ray tells of the application; None if there is none."""
        from ray.serve import context
        from ray.serve.schema import ApplicationDetails

        # `serve.status` leaves out which replicas have a place.
        client = context._get_global_client()
        found = client.get_serve_details()["applications"].get(self._cluster.name)
        return None if found is None else ApplicationDetails(**found)

    def _is_left(self, name: str) -> bool:
        """Return whether replicas of an application answer, all made of what is wanted now.

        Some may have died with the front before this one, whether or not Ray has noticed.
        """
        from ray import serve
        from ray.exceptions import RayError
        from ray.serve.exceptions import RayServeException

        if not self._cluster.made_of:
            return False
        try:
            asked = serve.get_app_handle(name).broadcast("made_of")
            told = asked.results(timeout_s=ASK_S, return_exceptions=True)
        except (RayError, RayServeException, TimeoutError):
            return False  # none is up
        return {one for one in told if isinstance(one, str)} == {self._cluster.made_of}

    def _join(self) -> None:
        import ray

        cluster = self._cluster
        count = max(cluster.replicas, cluster.most)
        own = {} if cluster.address else {"num_cpus": int(count * cluster.cpus) + 1}
        try:
            ray.init(address=cluster.address, include_dashboard=False, log_to_driver=True, **own)
        except ConnectionError as error:
            raise SetupError(f"no Ray cluster at {cluster.address}: {error}") from error
        self._started_ray = cluster.address is None

    def _bound(self) -> Any:
        """Return the deployment as `serve.run` takes it."""
        from ray import serve
        from ray.serve.config import RequestRouterConfig

        cluster = self._cluster
        deployment = serve.deployment(Replica).options(
            name=DEPLOYMENT,
            **self._count(),
            max_ongoing_requests=cluster.window,
            graceful_shutdown_timeout_s=cluster.drain_s,
            health_check_period_s=HEALTH_S,
            health_check_timeout_s=HUNG_S,
            ray_actor_options={"num_cpus": cluster.cpus, "num_gpus": cluster.gpus},
            request_router_config=RequestRouterConfig(
                request_router_class=ROUTER, request_routing_stats_period_s=STATS_S
            ),
        )
        # The same version goes on where it was: Ray would restart all replicas for a random one.
        versioned = deployment.options(version=cluster.made_of or None, _internal=True)
        return versioned.bind(self._make, cluster.made_of)

    def _count(self) -> dict[str, Any]:
        """Return how many replicas there are, as Ray's options: a number, or a rule."""
        from ray.serve.config import AutoscalingConfig

        cluster = self._cluster
        if cluster.most <= cluster.replicas:
            return {"num_replicas": cluster.replicas}

        rule = AutoscalingConfig(
            min_replicas=cluster.replicas,
            max_replicas=cluster.most,
            target_ongoing_requests=cluster.wanted,
            upscale_delay_s=GROW_S,
            downscale_delay_s=cluster.idle_s,
        )
        return {"autoscaling_config": rule}
