"""Spans on their way to a collector: none blocks, none is lost uncounted, memory has a bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from structlog.testing import capture_logs

from lorabay.tracing.destination import Destination, Wire
from lorabay.tracing.export import BoundedSpans, CountedExporter, exporter_to
from tests.fixtures.databases import free_port
from tests.fixtures.otlp import Collector, GrpcCollector
from tests.tracing.gate import Gate

PATIENCE_S = 30.0
NEVER_S = 3_600.0


class Outcomes(SpanExporter):
    """An exporter that does with each batch what it is told next."""

    def __init__(self, *outcomes: SpanExportResult | Exception) -> None:
        self._outcomes = iter(outcomes)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        outcome = next(self._outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def provider_over(
    exporter: SpanExporter, counts: Counter[str], sampler: Sampler = ALWAYS_ON, max_waiting: int = 8
) -> TracerProvider:
    """Return a provider that sends when a batch is full, or when it is asked to."""
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(
        BoundedSpans(
            exporter,
            lambda outcome, spans: counts.update({outcome: spans}),
            max_waiting=max_waiting,
            send_every_s=NEVER_S,
        )
    )
    return provider


def end_spans(provider: TracerProvider, count: int) -> None:
    tracer = provider.get_tracer("tests")
    for number in range(count):
        tracer.start_span(f"span {number}").end()


def test_spans_reach_a_collector(collector: Collector) -> None:
    """With the names of who made them, over HTTP."""
    counts: Counter[str] = Counter()
    exporter = exporter_to(Destination(f"{collector.url}/v1/traces", Wire.HTTP))
    provider = provider_over(exporter, counts)
    end_spans(provider, 3)
    provider.shutdown()
    assert [span.name for span in collector.spans()] == ["span 0", "span 1", "span 2"]
    assert counts == {"exported": 3}


def test_spans_reach_a_collector_over_grpc(
    grpc_collector: GrpcCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the headers of OpenTelemetry's variable, such as a vendor's key."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-vendor-key=k")
    counts: Counter[str] = Counter()
    provider = provider_over(exporter_to(Destination(grpc_collector.url, Wire.GRPC)), counts)
    end_spans(provider, 3)
    provider.shutdown()
    assert [span.name for span in grpc_collector.spans()] == ["span 0", "span 1", "span 2"]
    assert grpc_collector.headers[0]["x-vendor-key"] == "k"
    assert counts == {"exported": 3}


def test_a_collector_that_does_not_answer_costs_the_newest_spans_and_no_time() -> None:
    """So many wait, those on their way included; the others are dropped and counted."""
    counts: Counter[str] = Counter()
    gate = Gate()
    provider = provider_over(gate, counts, max_waiting=8)
    end_spans(provider, 2)
    assert gate.busy.wait(PATIENCE_S)
    end_spans(provider, 100)
    assert counts == {"dropped": 94}

    gate.open.set()
    provider.shutdown()
    assert counts == {"dropped": 94, "exported": 8}


def test_after_a_pause_of_the_collector_there_is_room_again() -> None:
    """What has been taken no longer waits."""
    counts: Counter[str] = Counter()
    gate = Gate()
    gate.open.set()
    provider = provider_over(gate, counts, max_waiting=8)
    for _ in range(10):
        end_spans(provider, 8)
        assert provider.force_flush()
    assert counts == {"exported": 80}
    provider.shutdown()


@pytest.mark.parametrize("wire", Wire)
def test_a_collector_that_is_gone_costs_a_count(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens on that port; nothing is raised."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.1")
    counts: Counter[str] = Counter()
    url = f"http://127.0.0.1:{free_port()}/v1/traces"
    provider = provider_over(exporter_to(Destination(url, wire)), counts)
    end_spans(provider, 3)
    provider.shutdown()
    assert counts == {"failed": 3}


def test_spans_that_nobody_keeps_are_not_counted() -> None:
    """The sampler has left them out."""
    counts: Counter[str] = Counter()
    provider = provider_over(Outcomes(), counts, ALWAYS_OFF)
    end_spans(provider, 3)
    provider.shutdown()
    assert counts == {}


def test_the_log_tells_once_that_a_collector_is_gone_and_once_that_it_is_back() -> None:
    """Batches go every second: a line for each would fill a disk."""
    good, bad = SpanExportResult.SUCCESS, SpanExportResult.FAILURE
    counts: Counter[str] = Counter()
    taken: list[int] = []
    exporter = CountedExporter(
        Outcomes(good, bad, RuntimeError("secret"), bad, good, good),
        lambda outcome, spans: counts.update({outcome: spans}),
        taken.append,
    )
    spans: list[ReadableSpan] = [ReadableSpan("a"), ReadableSpan("b")]
    with capture_logs() as logs:
        results = [exporter.export(spans) for _ in range(6)]
    assert results == [good, bad, bad, bad, good, good]
    assert [line["event"] for line in logs] == [
        "the collector takes no traces",
        "the collector takes traces again",
    ]
    assert counts == {"exported": 6, "failed": 6}
    assert taken == [2] * 6
