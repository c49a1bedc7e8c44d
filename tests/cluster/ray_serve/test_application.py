"""The application on Ray Serve, as it is handed to Ray; tests/e2e/test_ray.py runs it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray import serve
from ray.exceptions import ActorDiedError
from ray.serve import context
from ray.serve.exceptions import DeploymentUnavailableError
from ray.serve.schema import ApplicationDetails

from lorabay.cluster.ray_serve.application import DEPLOYMENT, Application, Cluster, Replica
from lorabay.cluster.replicas.engine_replica import EngineReplica, Room
from lorabay.cluster.replicas.outbox import Outboxes
from lorabay.errors import SetupError
from tests.cluster.ray_serve.told import told
from tests.fake_engine import FakeEngine


async def make(rank: int) -> EngineReplica:
    return EngineReplica(FakeEngine(), Room(capacity=2, slots=2))


def test_a_deployment_has_our_router_and_window() -> None:
    """Ray's defaults would take five requests at a time, and hear of replicas every ten seconds."""
    cluster = Cluster(replicas=3, window=64, cpus=2, gpus=0.5, drain_s=45)
    bound = Application(cluster, make)._bound()
    deployment = bound._bound_deployment
    assert deployment.name == DEPLOYMENT
    assert deployment.num_replicas == 3
    assert deployment.max_ongoing_requests == 64
    assert deployment.ray_actor_options == {"num_cpus": 2, "num_gpus": 0.5}

    config = deployment._deployment_config
    assert config.graceful_shutdown_timeout_s == 45
    assert config.request_router_config.request_routing_stats_period_s == 1
    assert "AdapterRouter" in str(config.request_router_config.request_router_class)


def test_replicas_come_and_go_with_the_load() -> None:
    """Between two numbers, by requests at once; without the larger one there is one number."""
    cluster = Cluster(replicas=2, window=64, most=6, wanted=24, idle_s=120)
    deployment = Application(cluster, make)._bound()._bound_deployment
    rule = deployment._deployment_config.autoscaling_config
    assert (rule.min_replicas, rule.max_replicas) == (2, 6)
    assert rule.target_ongoing_requests == 24
    assert rule.downscale_delay_s == 120
    assert rule.upscale_delay_s <= 60


@pytest.fixture
async def replica() -> Any:
    """What a replica has; Ray alone can make one, and awaits its `__del__`."""
    return SimpleNamespace(_replica=await make(0), _outboxes=Outboxes(), _told=0)


async def test_a_replica_ends_with_its_engine(
    replica: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would refuse each request at once, and be chosen because it has nothing to do."""
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    await replica._replica.engine.kill()
    await Replica._end_with_engine(replica)
    assert ended == [1]


async def test_a_replica_numbers_what_it_tells(replica: Any) -> None:
    """One that hangs tells nothing new."""
    told = [await Replica.record_routing_stats(replica) for _ in range(2)]
    assert [one["told"] for one in told] == [1, 2]
    assert told[0]["fronts"] == {}


@pytest.mark.parametrize(
    "method",
    ["answer", "facts", "forget", "pin", "prepare", "prepare_successor", "schemas"],
)
def test_what_a_front_calls_is_there(method: str) -> None:
    """Each is a method of the replica's, too."""
    assert hasattr(Replica, method)
    assert hasattr(EngineReplica, method)


def test_only_engines_of_another_make_are_restarted() -> None:
    """Ray goes by a deployment's version, which would be random; empty means that none is left."""
    cluster = Cluster(replicas=1, window=64, made_of="this")
    assert Application(cluster, make)._bound()._bound_deployment.version == "this"
    unnamed = replace(cluster, made_of="")
    assert Application(unnamed, make)._bound()._bound_deployment.version is None


@dataclass
class FakeServe:
    """Ray Serve on a cluster: what it says of the application, look by look, and who answers.

    The last look is repeated. `asked` are what was asked for, in order.
    """

    looks: list[ApplicationDetails | None]
    answers: list[object] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    on_look: Callable[[], None] = lambda: None

    def look(self) -> dict[str, Any]:
        self.on_look()
        found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        dumped = {} if found is None else {found.name: found.model_dump(exclude_unset=True)}
        return {"applications": dumped}

    def run_many(self, targets: list[Any], **options: object) -> list[Any]:
        assert options == {"wait_for_applications_running": False}
        self.asked.append("deploy")
        return ["the handle"]

    def broadcast(self, method: str) -> Any:
        def results(*, timeout_s: float, return_exceptions: bool) -> list[object]:
            assert return_exceptions
            if not self.answers:
                raise DeploymentUnavailableError("engine")
            return self.answers

        return SimpleNamespace(results=results)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeServe:
    fake = FakeServe([None])
    client = SimpleNamespace(get_serve_details=fake.look)
    monkeypatch.setattr("lorabay.cluster.ray_serve.application.LOOK_S", 0.01)
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(serve, "start", lambda **_: None)
    monkeypatch.setattr(serve, "run_many", fake.run_many)
    monkeypatch.setattr(serve, "delete", lambda name: fake.asked.append("delete"))
    monkeypatch.setattr(serve, "get_app_handle", lambda name: fake)
    monkeypatch.setattr(context, "_get_global_client", lambda: client)
    return fake


def front(**others: Any) -> Application:
    return Application(Cluster(replicas=2, window=64, made_of="this", **others), make)


def test_a_first_front_waits_until_all_are_up(fake: FakeServe) -> None:
    """None has been left by another front, so nobody is asked what he is made of."""
    fake.looks = [None, told("DEPLOYING", "n1"), told("RUNNING", "n1", "n2")]
    assert front().deploy() == "the handle"
    assert fake.asked == ["deploy"]


@pytest.mark.parametrize("status", ["RUNNING", "UNHEALTHY", "DEPLOYING", "DEPLOY_FAILED"])
def test_a_front_takes_over_what_survived_the_one_before(fake: FakeServe, status: str) -> None:
    """One engine died with that front, whether or not Ray has noticed by now."""
    fake.looks = [told(status, "n1", None)]
    fake.answers = ["this", ActorDiedError()]
    assert front().deploy() == "the handle"
    assert fake.asked == ["deploy"]


@pytest.mark.parametrize("answers", [[], ["that"], ["this", "that"], [TimeoutError()]])
def test_others_are_waited_for(fake: FakeServe, answers: list[object]) -> None:
    """They are of another make, or none answers: Ray brings up those that are wanted."""
    fake.looks = [told("UNHEALTHY", "n1"), told("DEPLOYING", "n1"), told("RUNNING", "n1", "n2")]
    fake.answers = answers
    assert front().deploy() == "the handle"
    assert len(fake.looks) == 1


def test_what_has_failed_is_begun_anew(fake: FakeServe) -> None:
    """Ray does not try a version again."""
    fake.looks = [told("DEPLOY_FAILED"), told("RUNNING", "n1", "n2")]
    front().deploy()
    assert fake.asked == ["delete", "deploy"]


def test_a_front_that_finds_no_place_says_so_and_takes_its_replicas_along(fake: FakeServe) -> None:
    fake.looks = [None, told("DEPLOYING", None, None, message="no GPU")]
    application = front(place_s=0.0)
    with pytest.raises(SetupError, match="no GPU"):
        application.deploy()
    application.end()
    assert fake.asked == ["deploy", "delete"]


def test_a_failure_of_ray_is_one_of_the_setup_and_ends_no_engines(fake: FakeServe) -> None:
    """The next front finds them."""
    fake.looks = [told("RUNNING", "n1", "n2")]

    def fail() -> None:
        raise ActorDiedError

    fake.on_look = fail
    application = front()
    with pytest.raises(SetupError, match="did not come up"):
        application.deploy()
    application.end()
    assert "delete" not in fake.asked


def test_an_end_ends_a_deployment_that_goes_on(fake: FakeServe) -> None:
    """It gives up by itself, and its replicas go."""
    waits = threading.Event()
    fake.looks = [None, told("DEPLOYING", None)]
    fake.on_look = lambda: waits.set() if "deploy" in fake.asked else None
    application = front()
    failures: list[str] = []

    def deploy() -> None:
        try:
            application.deploy()
        except SetupError as error:
            failures.append(error.message)

    deploying = threading.Thread(target=deploy)
    deploying.start()
    assert waits.wait(10)
    application.end()
    deploying.join(10)
    assert failures == ["the server was ended before its replicas were up"]
    assert fake.asked == ["deploy", "delete"]
    with pytest.raises(SetupError, match="ended"):
        application.deploy()
    with pytest.raises(SetupError, match="ended"):
        application.join()


def test_a_drain_may_take_longer_than_serve_waits(
    fake: FakeServe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for a minute each time; after the drain and a while nobody is waited for."""
    fake.looks = [None, told("RUNNING", "n1", "n2")]
    patience = iter([TimeoutError(), TimeoutError(), None])

    def delete(name: str) -> None:
        fake.asked.append("delete")
        if (error := next(patience, TimeoutError())) is not None:
            raise error

    monkeypatch.setattr(serve, "delete", delete)
    application = front()
    application.deploy()
    application.end()
    assert fake.asked == ["deploy", "delete", "delete", "delete"]

    monkeypatch.setattr("lorabay.cluster.ray_serve.application.ENDS_S", 0.0)
    fake.looks = [None, told("RUNNING", "n1", "n2")]
    hurried = front(drain_s=0.0)
    hurried.deploy()
    hurried.end()
    assert fake.asked[-2:] == ["deploy", "delete"]


@pytest.mark.parametrize(("are_used", "asked"), [(True, []), (False, ["delete"])])
def test_replicas_that_others_use_stay(fake: FakeServe, are_used: bool, asked: list[str]) -> None:
    """The last front that uses them ends them."""
    fake.looks = [None, told("RUNNING", "n1", "n2")]
    application = Application(Cluster(replicas=2, window=64), make, lambda: are_used)
    application.deploy()
    application.end()
    assert fake.asked == ["deploy", *asked]
