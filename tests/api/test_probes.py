"""Probes and versions."""

from __future__ import annotations

from importlib import metadata

from lorabay.api.probes import vllm_version
from lorabay.catalog.registry.registry import Registry
from lorabay.errors import EngineUnavailable
from lorabay.serving.engine import Compiled
from tests.api.conftest import Api, client_of, make_app, parts_over
from tests.fake_engine import FakeEngine


async def test_alive_from_the_first_moment(api: Api) -> None:
    """A process that answers is alive, whatever its engine does."""
    api.engine.up = False
    assert (await api.http.get("/health")).status_code == 200


async def test_not_healthy_when_only_a_new_process_can_help(registry: Registry) -> None:
    """An engine that cannot be rebuilt is told to whoever restarts servers, with its reason."""
    failure: list[Exception] = []

    def check_health() -> None:
        for error in failure:
            raise error

    async with client_of(make_app(parts_over(registry), check_health=check_health)) as http:
        assert (await http.get("/health")).status_code == 200
        failure.append(EngineUnavailable("could not be restarted 5 times", retry_after=30))
        response = await http.get("/health")
        assert (response.status_code, response.headers["retry-after"]) == (503, "30")
        assert response.json()["error"]["message"] == "could not be restarted 5 times"


async def test_ready_when_the_engine_is_up_and_the_declared_set_loaded(registry: Registry) -> None:
    """Both are needed; until then, and after a death, a balancer is told to come back."""
    engine, loaded = FakeEngine(up=False), False
    parts = parts_over(registry, engine=engine)
    async with client_of(make_app(parts, declared_set_loaded=lambda: loaded)) as http:

        async def ready() -> int:
            response = await http.get("/ready")
            assert (
                response.status_code == 200
                or response.json()["error"]["code"] == "engine_unavailable"
            )
            assert (response.status_code == 503) == ("retry-after" in response.headers)
            return response.status_code

        assert await ready() == 503
        engine.up = True
        assert await ready() == 503
        loaded = True
        assert await ready() == 200
        engine.up = False
        assert await ready() == 503


async def test_a_server_that_drains_is_alive_and_not_ready(registry: Registry) -> None:
    """A balancer turns away while requests are still answered."""
    draining = False
    app = make_app(parts_over(registry), draining=lambda: draining)
    async with client_of(app) as http:
        assert (await http.get("/ready")).status_code == 200
        draining = True
        response = await http.get("/ready")
        assert response.json()["error"]["code"] == "engine_unavailable"
        assert response.status_code == 503
        assert (await http.get("/health")).status_code == 200
        assert (await http.post("/tokenize", json={"model": "tiny"})).status_code == 200


async def test_versions(api: Api) -> None:
    """The answer names the installed versions, under whichever name vLLM is installed."""
    versions = (await api.http.get("/version")).json()
    assert versions == {
        "lorabay": metadata.version("lorabay"),
        "vllm": vllm_version(),
        "compiled": "yes",
    }
    assert versions["vllm"]


async def test_whether_the_base_is_compiled_can_be_asked(api: Api) -> None:
    """In three words, and null while there is no engine."""
    for compiled in (*Compiled, None):
        api.engine.compiled = compiled
        assert (await api.http.get("/version")).json()["compiled"] == compiled
