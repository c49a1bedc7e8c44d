"""What traces a server's requests: nothing, or OpenTelemetry towards one collector."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from opentelemetry import trace
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from lorabay.errors import SetupError, UsageError
from lorabay.metrics import Metrics
from lorabay.server.tracing import Tracing, choose_tracing
from lorabay.settings import Settings
from lorabay.tracing.tracer import NoTracer
from tests.fixtures.otlp import Collector

PATIENCE_S = 30.0
KEPT = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


@pytest.fixture(autouse=True)
def providers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What became OpenTelemetry's own provider, which is one for the rest of a process."""
    made: list[Any] = []
    monkeypatch.setattr(trace, "set_tracer_provider", made.append)
    return made


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def spans(metrics: Metrics, outcome: str) -> float:
    labels = {"outcome": outcome}
    return metrics.registry.get_sample_value("lorabay_trace_spans_total", labels) or 0.0


def test_without_a_collector_nothing_is_traced(metrics: Metrics, providers: list[Any]) -> None:
    """And nothing is put into the environment."""
    environ: dict[str, str] = {}
    tracing = choose_tracing(Settings(), metrics, environ)
    assert isinstance(tracing.tracer, NoTracer)
    assert not tracing.is_on
    assert (providers, environ) == ([], {})
    tracing.stop(PATIENCE_S)


def test_spans_reach_the_collector_of_the_setting(
    metrics: Metrics, collector: Collector, providers: list[Any]
) -> None:
    """By the end of the server at the latest; vLLM gets the same tracer, and the same protocol."""
    environ: dict[str, str] = {}
    tracing = choose_tracing(Settings(otlp_endpoint=SecretStr(collector.url)), metrics, environ)
    assert tracing.is_on
    assert len(providers) == 1
    assert environ == {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}

    tracing.tracer.begin("POST /", {}, {"a": 1}).end()
    tracing.stop(PATIENCE_S)
    [span] = collector.spans()
    assert (span.name, span.service, span.attributes) == ("POST /", "lorabay", {"a": 1})
    assert spans(metrics, "exported") == 1


def test_opentelemetrys_variables_say_the_rest(
    metrics: Metrics, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address, a header such as a vendor's key, packing, and the name of the service."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-vendor-key=k")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "models")
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", raising=False)
    tracing = choose_tracing(Settings(), metrics, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
    tracing.tracer.begin("POST /", {}, {}).end()
    tracing.stop(PATIENCE_S)
    assert [span.service for span in collector.spans()] == ["models"]
    assert collector.headers[0]["x-vendor-key"] == "k"


def test_a_share_of_the_traces_is_kept(metrics: Metrics, collector: Collector) -> None:
    """Of those that begin here: a client that keeps its own has the whole of it."""
    settings = Settings(otlp_endpoint=SecretStr(collector.url), trace_share=0)
    tracing = choose_tracing(settings, metrics, {})
    tracing.tracer.begin("here", {}, {}).end()
    tracing.tracer.begin("there", KEPT, {}).end()
    tracing.stop(PATIENCE_S)
    assert [span.name for span in collector.spans()] == ["there"]


def test_a_server_ends_without_a_collector_that_does_not_answer() -> None:
    """What is not sent in time is lost."""
    never = threading.Event()
    Tracing(NoTracer(), is_on=True, _end=lambda: never.wait(PATIENCE_S)).stop(0.01)
    assert not never.is_set()
    never.set()


def test_what_is_no_collector_ends_the_start(metrics: Metrics) -> None:
    """In a line that says where it is wrong, without the value."""
    with pytest.raises(UsageError, match="--otlp-endpoint"):
        choose_tracing(Settings(otlp_endpoint=SecretStr("secret")), metrics, {})


def test_a_variable_that_opentelemetry_does_not_take_ends_the_start(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that should trace and does not is found out weeks later."""
    monkeypatch.setenv("OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER", "nobody")
    with pytest.raises(SetupError, match="OTEL_"):
        choose_tracing(Settings(otlp_endpoint=SecretStr("http://127.0.0.1:9")), metrics, {})
