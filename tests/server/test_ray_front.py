"""The front as an application of Ray Serve, without a cluster; tests/e2e/test_ray.py has one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from starlette.responses import PlainTextResponse

from lorabay.errors import SetupError, UsageError
from lorabay.server.ray_front import FRONT, REPLICAS, Front, WithLife, application, settings_of


def test_the_application_is_built_without_a_cluster(no_settings_in_environment: None) -> None:
    """Ray is not even started; the deployment is one front, with time to drain."""
    import ray

    built = application({"grace_s": 45, "ray_replicas": 3})
    deployment: Any = built._bound_deployment
    assert deployment.name == FRONT
    assert deployment.num_replicas == 1
    assert deployment._deployment_config.graceful_shutdown_timeout_s == 45
    assert not ray.is_initialized()


def test_wrong_settings_are_refused_when_it_is_built(no_settings_in_environment: None) -> None:
    with pytest.raises(UsageError, match="poll_s"):
        application({"poll_s": "often"})


def test_settings_are_those_of_a_server(no_settings_in_environment: None) -> None:
    """It is reached from anywhere, and has engines on Ray however little was said."""
    settings = settings_of({"grace_s": 45})
    assert (settings.grace_s, settings.ray_replicas) == (45, REPLICAS)
    assert settings.host == "0.0.0.0"
    assert settings_of({"ray_replicas": 5}).ray_replicas == 5


def test_several_fronts_want_a_cluster(no_settings_in_environment: None) -> None:
    """Without one each would have names of its own."""
    with pytest.raises(UsageError, match="cluster"):
        application({"ray_fronts": 2})
    built = application({"ray_fronts": 2, "cluster": "shop"})
    assert built._bound_deployment.num_replicas == 2


async def spoken(app: WithLife) -> list[str]:
    """What it says to a start and an end."""
    said: list[str] = []

    async def receive() -> dict[str, str]:
        return {"type": "lifespan.startup" if not said else "lifespan.shutdown"}

    async def send(message: Any) -> None:
        said.append(message["type"])
        if message["type"] == "lifespan.startup.complete":
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://here"
            ) as client:
                said.append((await client.get("/")).text)

    await app({"type": "lifespan"}, receive, send)
    return said


async def test_requests_are_answered_between_start_and_end() -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def life() -> AsyncIterator[PlainTextResponse]:
        steps.append("begun")
        yield PlainTextResponse("hello")
        steps.append("ended")

    said = await spoken(WithLife(life))
    assert said == ["lifespan.startup.complete", "hello", "lifespan.shutdown.complete"]
    assert steps == ["begun", "ended"]


async def test_a_front_without_a_key_does_not_begin(
    no_settings_in_environment: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Ray's proxy can be reached from elsewhere."""
    front = Front({"store": str(tmp_path_factory.mktemp("store"))})
    app = front.__serve_build_asgi_app__()
    assert isinstance(app, WithLife)
    assert await spoken(app) == ["lifespan.startup.failed"]


def test_a_start_that_failed_is_bad_health(no_settings_in_environment: None) -> None:
    """Ray makes another front then."""

    class Failed:
        failure = SetupError("no such base")

    front = Front({})
    front.check_health()
    front._server = Failed()  # type: ignore[assignment]
    with pytest.raises(SetupError, match="no such base"):
        front.check_health()


class Starting:
    """A server whose start ends when a test says so, well or not."""

    instances: ClassVar[list[Starting]] = []

    def __init__(self, *_: object, **__: object) -> None:
        self.failure: BaseException | None = None
        self.when_ready: Callable[[], None] = lambda: None
        self.app = PlainTextResponse("hello")
        self.instances.append(self)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        yield


@pytest.mark.parametrize("fronts", [1, 2])
async def test_beside_others_a_front_is_there_when_it_is_ready(
    no_settings_in_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fronts: int
) -> None:
    """Ray asks the others meanwhile; alone it says itself that it is starting."""
    monkeypatch.setattr("lorabay.server.ray_front.Server", Starting)
    Starting.instances.clear()
    settings = {"store": str(tmp_path), "api_key": "key", "cluster": "shop", "ray_fronts": fronts}
    front = Front(settings)
    speaking = asyncio.create_task(spoken(WithLife(front._lived)))
    async with asyncio.timeout(10):
        while not Starting.instances:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert speaking.done() is (fronts == 1)
        Starting.instances[0].when_ready()
        assert "lifespan.startup.complete" in await speaking


async def test_beside_others_a_start_that_fails_is_told(
    no_settings_in_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ray makes another front."""
    monkeypatch.setattr("lorabay.server.ray_front.Server", Starting)
    Starting.instances.clear()
    front = Front({"store": str(tmp_path), "api_key": "key", "cluster": "shop", "ray_fronts": 2})
    speaking = asyncio.create_task(spoken(WithLife(front._lived)))
    async with asyncio.timeout(10):
        while not Starting.instances:
            await asyncio.sleep(0.01)
        Starting.instances[0].failure = SetupError("no such base")
        assert await speaking == ["lifespan.startup.failed"]
