"""The way of spans to a collector: beside the requests, in bounded memory, and counted.

OpenTelemetry's own batches are sent by a thread of theirs. In front of them stands a limit, so that
a collector that is slow or gone costs the newest spans and nothing else; behind them, each batch is
counted. Knows nothing of what the spans tell.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from lorabay.tracing.destination import Destination, Wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

logger = structlog.get_logger(__name__)

MAX_WAITING = 2_048
"""Spans that wait for the collector, some kilobytes each; beyond, new ones are dropped."""

SEND_EVERY_S = 1.0
"""How long a span waits for others that go with it."""

Count = Callable[[str, int], None]
"""Hears of an outcome, `exported`, `failed` or `dropped`, and of how many spans had it."""


def exporter_to(destination: Destination) -> SpanExporter:
    """Return OpenTelemetry's exporter to a collector; headers, certificates and limits of time are
    those of its variables.
    """
    if destination.wire is Wire.GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
            OTLPSpanExporter as GrpcExporter,
        )

        return GrpcExporter(endpoint=destination.url)

    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
        OTLPSpanExporter as HttpExporter,
    )

    return HttpExporter(endpoint=destination.url)


class CountedExporter(SpanExporter):
    """Counts what becomes of each batch of another exporter; tells once that a collector is gone.

    `taken` hears how many spans are no longer waiting.
    """

    def __init__(self, exporter: SpanExporter, count: Count, taken: Callable[[int], None]) -> None:
        self._exporter = exporter
        self._count = count
        self._taken = taken
        self._delivers = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch; returns a failure instead of raising it."""
        try:
            result = self._exporter.export(spans)
        except Exception:  # noqa: BLE001 - whatever a library raises, requests must not feel it
            result = SpanExportResult.FAILURE
        finally:
            self._taken(len(spans))

        delivered = result is SpanExportResult.SUCCESS
        self._count("exported" if delivered else "failed", len(spans))
        self._tell(delivered)
        return result

    def _tell(self, delivered: bool) -> None:
        if delivered == self._delivers:
            return

        self._delivers = delivered
        if delivered:
            logger.info("the collector takes traces again")
        else:
            logger.warning("the collector takes no traces", counted_by="lorabay_trace_spans_total")

    def shutdown(self) -> None:
        """End the other exporter."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return True: nothing is kept here."""
        return True


class BoundedSpans(SpanProcessor):
    """Takes spans that have ended, up to a number that waits; never blocks."""

    def __init__(
        self,
        exporter: SpanExporter,
        count: Count,
        *,
        max_waiting: int = MAX_WAITING,
        send_every_s: float = SEND_EVERY_S,
    ) -> None:
        self._count = count
        self._max_waiting = max_waiting
        self._lock = threading.Lock()
        self._waiting = 0
        self._batches = BatchSpanProcessor(
            CountedExporter(exporter, count, self._take),
            # The limit in front is reached first, so nothing is lost there uncounted.
            max_queue_size=max_waiting,
            max_export_batch_size=max(1, max_waiting // 4),
            schedule_delay_millis=send_every_s * 1000,
        )

    def on_end(self, span: ReadableSpan) -> None:
        """Let a span wait for the collector, or drop it if too many do."""
        if span.context is None or not span.context.trace_flags.sampled:
            return

        with self._lock:
            has_room = self._waiting < self._max_waiting
            self._waiting += has_room
        if has_room:
            self._batches.on_end(span)
        else:
            self._count("dropped", 1)

    def _take(self, spans: int) -> None:
        with self._lock:
            self._waiting -= spans

    def shutdown(self) -> None:
        """Send what waits, and end. Blocks as long as the collector does."""
        self._batches.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits, and return whether that was possible. Blocks."""
        return self._batches.force_flush(timeout_millis)
