"""A `Tracer` over OpenTelemetry.

A span is never made the current one: what runs beside a request would else become a part of its
trace, such as the task in which vLLM takes up the answers of all requests. Nothing that a failure
says is recorded, as it may repeat what a client wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from lorabay.tracing.names import TRACE_HEADERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span, TracerProvider

    from lorabay.tracing.tracer import Value

SCOPE = "lorabay"
"""The name of what made a span."""

# W3C's two headers alone: baggage would carry whatever a client wrote into it.
_PROPAGATOR = TraceContextTextMapPropagator()


class OpenTelemetrySpan:
    """One span of a request at its server."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def set(self, name: str, value: Value | None) -> None:
        """Set an attribute; None sets none."""
        if value is not None:
            self._span.set_attribute(name, value)

    def fail(self) -> None:
        """Mark the span as failed, without a word of why."""
        self._span.set_status(Status(StatusCode.ERROR))

    def passed_on(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers with this span as the parent, or without any if it is not kept."""
        passed = {name: value for name, value in headers.items() if name not in TRACE_HEADERS}
        if self._span.get_span_context().trace_flags.sampled:
            _PROPAGATOR.inject(passed, set_span_in_context(self._span, Context()))
        return passed

    def end(self) -> None:
        """End the span, which is exported if it is kept."""
        self._span.end()


class OpenTelemetryTracer:
    """Begins spans with a provider, which decides what is kept and where it goes."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer(SCOPE)

    def begin(
        self, name: str, headers: Mapping[str, str], attributes: Mapping[str, Value]
    ) -> OpenTelemetrySpan:
        """Return a span; headers that are no trace begin a new one."""
        parent = _PROPAGATOR.extract(headers, Context())
        span = self._tracer.start_span(
            name, context=parent, kind=SpanKind.SERVER, attributes=attributes
        )
        return OpenTelemetrySpan(span)
