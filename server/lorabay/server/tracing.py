"""The traces of a server: where they go, what is kept of them, and their end.

OpenTelemetry is imported here, when there is somewhere that traces go.
"""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from lorabay.errors import SetupError
from lorabay.tracing.destination import TRACES_PROTOCOL, find_destination
from lorabay.tracing.names import SERVICE
from lorabay.tracing.tracer import NoTracer

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.sampling import Sampler

    from lorabay.metrics import Metrics
    from lorabay.settings import Settings
    from lorabay.tracing.tracer import Tracer


@dataclass(frozen=True, slots=True)
class Tracing:
    """What traces the requests of a server; `is_on` if their traces go anywhere."""

    tracer: Tracer
    is_on: bool
    _end: Callable[[], None] = lambda: None

    def stop(self, timeout_s: float) -> None:
        """Send what waits, and end; what is not sent by then is lost. Blocks."""
        # In a thread that the end of the process does not wait for: a collector that is gone keeps
        # it for half a minute.
        thread = threading.Thread(target=self._end, name="lorabay-traces", daemon=True)
        thread.start()
        thread.join(timeout_s)


def choose_tracing(
    settings: Settings, metrics: Metrics, environ: MutableMapping[str, str] = os.environ
) -> Tracing:
    """Return what traces the requests of a server: nothing unless there is a collector.

    The first one of a process is OpenTelemetry's own from then on, with which vLLM makes its spans.
    Raises UsageError for a collector that cannot be one, and SetupError where OpenTelemetry is not
    installed or does not take its variables.
    """
    flag = None if settings.otlp_endpoint is None else settings.otlp_endpoint.get_secret_value()
    destination = find_destination(flag, environ)
    if destination is None:
        return Tracing(NoTracer(), is_on=False)

    # vLLM's processes take up OpenTelemetry's variables, too, and would speak gRPC.
    environ.setdefault(TRACES_PROTOCOL, destination.wire)
    try:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.trace import set_tracer_provider

        from lorabay.tracing.export import BoundedSpans, exporter_to
        from lorabay.tracing.opentelemetry_tracer import OpenTelemetryTracer
    except ImportError as error:
        raise SetupError(
            "traces need opentelemetry-sdk and opentelemetry-exporter-otlp: install them as the "
            "lock file has them, or leave --otlp-endpoint out"
        ) from error

    try:
        exporter = exporter_to(destination)
        provider = TracerProvider(
            sampler=_sampler(settings.trace_share), resource=_resource(), shutdown_on_exit=False
        )
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        raise SetupError(
            "traces cannot be sent as the variables OTEL_* say: "
            f"{type(error).__name__} in OpenTelemetry"
        ) from error

    # What it has said of its variables stays; of batches that fail it would say so each time.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    provider.add_span_processor(
        BoundedSpans(
            exporter, lambda outcome, spans: metrics.trace_spans.labels(outcome).inc(spans)
        )
    )
    set_tracer_provider(provider)
    return Tracing(OpenTelemetryTracer(provider), is_on=True, _end=provider.shutdown)


def _sampler(share: float | None) -> Sampler | None:
    """Return what keeps a share of the traces that begin here; None for OpenTelemetry's choice."""
    if share is None:
        return None

    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    return ParentBased(TraceIdRatioBased(share))


def _resource() -> Resource:
    """Return who makes the spans; OpenTelemetry's variables may say otherwise."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    ours = Resource({"service.name": SERVICE, "service.version": metadata.version(SERVICE)})
    return Resource.create(ours.merge(OTELResourceDetector().detect()).attributes)
