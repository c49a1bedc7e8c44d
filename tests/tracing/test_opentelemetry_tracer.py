"""Spans over OpenTelemetry: their parents, what is passed on, and what is kept."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from lorabay.tracing.opentelemetry_tracer import OpenTelemetryTracer
from tests.tracing.memory import Memory

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
KEPT = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
NOT_KEPT = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
RANK = {"X-data-parallel-rank": "1"}


def test_a_span_goes_on_with_the_clients_trace() -> None:
    """It is a child of the client's span, and what is passed on makes it the parent."""
    memory = Memory()
    span = OpenTelemetryTracer(memory.provider).begin("POST /", KEPT, {"a": "b"})
    passed = span.passed_on(KEPT | RANK)
    span.set("seconds", 0.5)
    span.set("unknown", None)
    span.end()

    [made] = memory.spans
    assert made.context is not None
    assert made.parent is not None
    assert f"{made.context.trace_id:032x}" == TRACE
    assert f"{made.parent.span_id:016x}" == PARENT
    assert made.kind is SpanKind.SERVER
    assert dict(made.attributes or {}) == {"a": "b", "seconds": 0.5}
    assert passed == RANK | {
        "traceparent": f"00-{TRACE}-{made.context.span_id:016x}-01",
        "tracestate": "vendor=1",
    }


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"traceparent": "nonsense"},
        {"traceparent": f"00-{'0' * 32}-{PARENT}-01"},
        {"baggage": "a=b"},
    ],
)
def test_without_a_trace_one_begins(headers: dict[str, str]) -> None:
    """Also where the header is none, which is no fault of the request."""
    memory = Memory()
    OpenTelemetryTracer(memory.provider).begin("POST /", headers, {}).end()
    [made] = memory.spans
    assert made.parent is None


def test_a_trace_that_its_client_does_not_keep_is_not_kept_here() -> None:
    """Nothing is passed on, either: the engine makes no span."""
    memory = Memory()
    span = OpenTelemetryTracer(memory.provider).begin("POST /", NOT_KEPT, {})
    assert span.passed_on(NOT_KEPT | RANK) == RANK
    span.end()
    assert memory.spans == ()


def test_a_client_that_keeps_its_trace_wins_over_the_share() -> None:
    """What is kept of other requests is the sampler's choice, here nothing."""
    memory = Memory(ALWAYS_OFF)
    tracer = OpenTelemetryTracer(memory.provider)
    tracer.begin("other", {}, {}).end()
    tracer.begin("POST /", KEPT, {}).end()
    assert [span.name for span in memory.spans] == ["POST /"]


def test_a_failed_span_says_that_and_not_why() -> None:
    """A message may repeat what a client wrote."""
    memory = Memory()
    span = OpenTelemetryTracer(memory.provider).begin("POST /", {}, {})
    span.fail()
    span.end()
    [made] = memory.spans
    assert made.status.status_code is StatusCode.ERROR
    assert made.status.description is None
    assert made.events == ()


def test_a_span_is_never_the_current_one() -> None:
    """Tasks that a request happens to begin outlive it, and serve others."""
    span = OpenTelemetryTracer(Memory().provider).begin("POST /", KEPT, {})
    assert not trace.get_current_span().get_span_context().is_valid
    span.end()
