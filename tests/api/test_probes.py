"""Probes, versions and metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import metadata

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter, Metric
from prometheus_client.core import REGISTRY
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from lorabay.api.app import create_app
from lorabay.api.auth import OpenGate
from lorabay.api.probes import vllm_version
from lorabay.catalog.registry import Registry
from lorabay.metrics import Metrics
from tests.api.conftest import Api
from tests.fake_engine import FakeEngine
from tests.versions import BASE_NAMES

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PROMETHEUS_2 = f"{OPENMETRICS};q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3"
PROMETHEUS_3 = f"{OPENMETRICS};escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.2"
PARSERS: dict[str, Callable[[str], Iterable[Metric]]] = {
    "": parse_text,
    "*/*": parse_text,
    "text/plain; version=many": parse_text,
    OPENMETRICS: parse_openmetrics,
    PROMETHEUS_2: parse_openmetrics,
    PROMETHEUS_3: parse_openmetrics,
}


@pytest.fixture
def engines_own_series() -> Iterator[str]:
    """A series in the process's own registry, as vLLM makes them."""
    series = Counter("vllm:test_requests", "What vLLM counts.")
    series.inc(3)
    yield "vllm:test_requests_total"
    REGISTRY.unregister(series)


async def test_alive_from_the_first_moment(api: Api) -> None:
    """A process that answers is alive, whatever its engine does."""
    api.engine.up = False
    assert (await api.http.get("/health")).status_code == 200


def app_that(
    engine: FakeEngine, registry: Registry, declared_set_loaded: Callable[[], bool]
) -> FastAPI:
    return create_app(
        engine,
        registry,
        Metrics(CollectorRegistry()),
        OpenGate(),
        base_names=BASE_NAMES,
        max_body_bytes=1000,
        declared_set_loaded=declared_set_loaded,
    )


async def test_ready_when_the_engine_is_up_and_the_declared_set_loaded(registry: Registry) -> None:
    """Both are needed; until then a balancer is told to come back, and after a death again."""
    engine, loaded = FakeEngine(up=False), False
    transport = httpx.ASGITransport(app_that(engine, registry, lambda: loaded))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:

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


async def test_versions(api: Api) -> None:
    """The answer names what is installed, under whichever name vLLM's build goes."""
    versions = (await api.http.get("/version")).json()
    assert versions == {"lorabay": metadata.version("lorabay"), "vllm": vllm_version()}
    assert versions["vllm"]


@pytest.mark.parametrize("accept", PARSERS)
async def test_metrics_can_be_parsed(api: Api, accept: str, engines_own_series: str) -> None:
    """In both formats the exposition is valid as a whole and holds our series and the engine's,
    names untouched.
    """
    await api.http.post("/v1/chat/completions", json={"model": "finance"})
    response = await api.http.get("/metrics", headers={"accept": accept})
    kind = "text/plain" if PARSERS[accept] is parse_text else "application/openmetrics-text"
    assert response.headers["content-type"].partition(";")[0] == kind
    samples = {
        (sample.name, sample.labels.get("adapter")): sample.value
        for family in PARSERS[accept](response.text)
        for sample in family.samples
    }
    assert samples["lorabay_requests_total", "finance"] == 1
    assert samples[engines_own_series, None] == 3


async def test_openmetrics_ends_once(api: Api) -> None:
    """The end mark stands at the end and nowhere else."""
    text = (await api.http.get("/metrics", headers={"accept": OPENMETRICS})).text
    assert text.count("# EOF") == 1
    assert text.endswith("# EOF\n")
