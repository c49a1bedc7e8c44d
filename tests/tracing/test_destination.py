"""Where traces go: one setting, or OpenTelemetry's own variables."""

from __future__ import annotations

import pytest

from lorabay.errors import UsageError
from lorabay.tracing.destination import Destination, Wire, find_destination

HTTP = Destination("http://c:4318/v1/traces", Wire.HTTP)


def test_without_a_word_nothing_is_traced() -> None:
    """Empty variables say nothing, as OpenTelemetry wants it."""
    assert find_destination(None, {}) is None
    assert find_destination(None, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}) is None


@pytest.mark.parametrize(
    ("flag", "environ", "found"),
    [
        ("http://c:4318", {}, HTTP),
        ("http://c:4318/", {}, HTTP),
        ("http://c:4318/v1/traces", {}, HTTP),
        ("https://c/in", {}, Destination("https://c/in/v1/traces", Wire.HTTP)),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, HTTP),
        (
            None,
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t:1/x"},
            Destination("http://t:1/x", Wire.HTTP),
        ),
        ("http://c:4318", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t:1/x"}, HTTP),
        (
            "http://c:4317",
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            Destination("http://c:4317", Wire.GRPC),
        ),
        (
            "http://c:4318",
            {
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            },
            HTTP,
        ),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, None),
        (
            None,
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"},
            None,
        ),
        ("http://c:4318", {"OTEL_TRACES_EXPORTER": "none"}, HTTP),
    ],
)
def test_the_setting_wins_over_the_variables(
    flag: str | None, environ: dict[str, str], found: Destination | None
) -> None:
    """An address gets the path of traces, a whole URL is taken as it is."""
    assert find_destination(flag, environ) == found


@pytest.mark.parametrize(
    "url", ["", "collector:4318", "ftp://u:secret@c", "http://", "http://[secret", "http://c:99999"]
)
def test_what_is_no_address_is_told_without_it(url: str) -> None:
    """A URL may hold a password."""
    with pytest.raises(UsageError, match="--otlp-endpoint") as raised:
        find_destination(url, {})
    assert "secret" not in raised.value.message


def test_an_unknown_protocol_is_told() -> None:
    """By its variable, with what there is."""
    with pytest.raises(UsageError, match=r"OTEL_EXPORTER_OTLP_PROTOCOL.*http/protobuf and grpc"):
        find_destination("http://c:4318", {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"})
