"""Without a collector nothing is traced, and a client's own trace is left as it came."""

from __future__ import annotations

from lorabay.tracing.tracer import NoTracer

HEADERS = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x": "1"}


def test_a_clients_trace_passes_untouched() -> None:
    """vLLM may have an exporter of its own, which the operator has turned on."""
    span = NoTracer().begin("POST /", HEADERS, {"a": 1})
    span.set("b", 2)
    span.fail()
    assert span.passed_on(HEADERS) == HEADERS
    span.end()
