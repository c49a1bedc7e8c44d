"""Where traces go: the collector that a setting names, or OpenTelemetry's own variables do.

What else these variables say (headers, certificates, a timeout, a name of the service), the library
reads by itself. Knows nothing of spans.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lorabay.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

TRACES_PATH = "/v1/traces"
"""Where a collector takes traces over HTTP, below its address."""

FLAG = "--otlp-endpoint"
DISABLED = "OTEL_SDK_DISABLED"
EXPORTER = "OTEL_TRACES_EXPORTER"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
TRACES_PROTOCOL = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"


class Wire(StrEnum):
    """How a collector is spoken to."""

    HTTP = "http/protobuf"
    GRPC = "grpc"


@dataclass(frozen=True, slots=True)
class Destination:
    """A collector: the URL that takes traces, and how it is spoken to."""

    url: str
    wire: Wire


def find_destination(flag: str | None, environ: Mapping[str, str]) -> Destination | None:
    """Return where traces go by the setting `flag`, else by OpenTelemetry's variables; None if
    nobody wants any.

    Raises UsageError for an address or a protocol that cannot be used.
    """
    if environ.get(DISABLED, "").strip().lower() == "true":
        return None
    if flag is None and environ.get(EXPORTER, "otlp").strip() not in ("", "otlp"):
        return None

    # The address of traces alone is the whole URL, the other two are a collector's address.
    whole = None if flag is not None else environ.get(TRACES_ENDPOINT)
    if whole:
        return Destination(_checked(whole, TRACES_ENDPOINT), _wire(environ))

    source, address = (FLAG, flag) if flag is not None else (ENDPOINT, environ.get(ENDPOINT))
    if flag is None and not address:
        return None

    address = _checked(address or "", source)
    wire = _wire(environ)
    if wire is Wire.GRPC or urlsplit(address).path.endswith(TRACES_PATH):
        return Destination(address, wire)
    return Destination(address.rstrip("/") + TRACES_PATH, wire)


def _wire(environ: Mapping[str, str]) -> Wire:
    name = PROTOCOL if not environ.get(TRACES_PROTOCOL) else TRACES_PROTOCOL
    value = environ.get(name) or Wire.HTTP
    try:
        return Wire(value)
    except ValueError:
        known = " and ".join(Wire)
        raise UsageError(f"{name} is {value!r}; traces go over {known}") from None


def _checked(url: str, source: str) -> str:
    """Return the URL of a collector; it may hold a password, so no message shows it."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise UsageError(f"{source} is no address of a collector, as in http://collector:4318")
    return url
