"""An exporter whose collector does not answer until it is told to."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

PATIENCE_S = 30.0


class Gate(SpanExporter):
    """Holds each batch until it is opened; `busy` once it has one."""

    def __init__(self) -> None:
        self.busy, self.open = threading.Event(), threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.busy.set()
        assert self.open.wait(PATIENCE_S)
        return SpanExportResult.SUCCESS
