"""One application with everything real but its engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry
from starlette.middleware import Middleware

from lorabay.api.app import create_app
from lorabay.api.auth import Gate, OpenGate
from lorabay.api.parts import Parts
from lorabay.catalog.registry.registry import Registry
from lorabay.metrics import Metrics
from lorabay.server.composition import request_limits
from lorabay.settings import Settings
from tests.fake_engine import FakeEngine
from tests.fake_weights import FakeWeights
from tests.slots import enough_slots
from tests.versions import BASE_NAMES, make_version

FINANCE = make_version("finance", "a")
FINANCE_BEFORE = make_version("finance", "b")
SHOP = make_version("shop", "c")
MAX_BODY_BYTES = 100_000
LIMITS = request_limits(Settings())


def parts_over(registry: Registry, **others: Any) -> Parts:
    """Return parts that answer at once, with metrics of their own; `others` replace some."""
    fresh = Parts(
        FakeEngine(), registry, FakeWeights(), enough_slots(), Metrics(CollectorRegistry())
    )
    return replace(fresh, **others)


def make_app(
    parts: Parts,
    gate: Gate | None = None,
    *,
    max_body_bytes: int = MAX_BODY_BYTES,
    stream_comment_s: float = 0.0,
    declared_set_loaded: Callable[[], bool] = lambda: True,
    draining: Callable[[], bool] = lambda: False,
    middleware: Sequence[Middleware] = (),
    check_health: Callable[[], None] = lambda: None,
    routers: Sequence[APIRouter] = (),
) -> FastAPI:
    """Return an application that lets everybody in, unless a test says otherwise."""
    return create_app(
        parts,
        gate or OpenGate(),
        base_names=BASE_NAMES,
        max_body_bytes=max_body_bytes,
        limits=LIMITS,
        stream_comment_s=stream_comment_s,
        declared_set_loaded=declared_set_loaded,
        draining=draining,
        middleware=middleware,
        check_health=check_health,
        routers=routers,
    )


def client_of(app: FastAPI) -> httpx.AsyncClient:
    """Return a client of `app` that sees the response to a bug, not the exception."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://server")


@dataclass(frozen=True)
class Api:
    """The application's parts, and a client that is connected to it."""

    app: FastAPI
    engine: FakeEngine
    registry: Registry
    weights: FakeWeights
    metrics: Metrics
    http: httpx.AsyncClient

    def count(self, series: str, **labels: str) -> float:
        """Return the value of one series; 0 if it does not exist yet."""
        return self.metrics.registry.get_sample_value(series, labels) or 0.0

    def codes(self, adapter: str, endpoint: str = "chat") -> dict[str, float]:
        """Return how many requests ended with which status."""
        samples = [
            sample for family in self.metrics.registry.collect() for sample in family.samples
        ]
        wanted = {"adapter": adapter, "endpoint": endpoint}
        return {
            sample.labels["code"]: sample.value
            for sample in samples
            if sample.name == "lorabay_requests_total" and wanted.items() <= sample.labels.items()
        }

    def at_rest(self) -> bool:
        """Return whether nobody holds a lease or weights, and no request counts as running."""
        running = [
            sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == "lorabay_requests_running"
        ]
        held = [status.leases for status in self.registry.snapshot()]
        return not any(running) and not any(held) and not self.weights.holds.versions()


@pytest.fixture
async def api(registry: Registry) -> AsyncIterator[Api]:
    """An application that serves `finance`, which has a former version, and `shop`."""
    for version in (FINANCE_BEFORE, FINANCE, SHOP):
        registry.set_live(version)
    engine, weights, metrics = FakeEngine(), FakeWeights(), Metrics(CollectorRegistry())
    app = make_app(parts_over(registry, engine=engine, weights=weights, metrics=metrics))
    async with client_of(app) as http:
        yield Api(app, engine, registry, weights, metrics, http)
