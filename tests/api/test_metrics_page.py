"""The metrics page: both formats, and what scrapers see of vLLM's series."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, generate_latest
from prometheus_client.core import REGISTRY
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from lorabay.api.metrics_page import LORA_INFO, VllmSeries
from tests.api.conftest import Api

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PROMETHEUS_2 = (
    f"{OPENMETRICS};q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3"
)
PROMETHEUS_3 = (
    f"{OPENMETRICS};escaping=allow-utf-8;q=0.6,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.2"
)
PARSERS: dict[str, Callable[[str], Iterable[Metric]]] = {
    "": parse_text,
    "*/*": parse_text,
    "text/plain; version=many": parse_text,
    OPENMETRICS: parse_openmetrics,
    PROMETHEUS_2: parse_openmetrics,
    PROMETHEUS_3: parse_openmetrics,
}


@pytest.fixture
def engines_own_series() -> Iterator[str]:
    """A series in the process's own registry, as vLLM makes them."""
    series = Counter("vllm:test_requests", "What vLLM counts.")
    series.inc(3)
    yield "vllm:test_requests_total"
    REGISTRY.unregister(series)


LABELS = ("max_lora", "waiting_lora_adapters", "running_lora_adapters")


def lines(registry: CollectorRegistry) -> list[str]:
    text = generate_latest(VllmSeries(registry)).decode()  # type: ignore[arg-type]
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_routers_read_adapters_not_versions() -> None:
    """Each name appears once, without its version; of equal samples the newest stays."""
    registry = CollectorRegistry()
    gauge = Gauge(LORA_INFO, "Running stats on lora requests.", LABELS, registry=registry)
    gauge.labels("4", "shop@bbbbbbbbbbbb", "ads@aaaaaaaaaaaa,ads@cccccccccccc").set(7)
    gauge.labels("4", "shop@bbbbbbbbbbbb", "ads@cccccccccccc").set(9)
    gauge.labels("4", "", "").set(8)
    assert sorted(lines(registry)) == [
        f'{LORA_INFO}{{max_lora="4",running_lora_adapters="",waiting_lora_adapters=""}} 8.0',
        f'{LORA_INFO}{{max_lora="4",running_lora_adapters="ads",waiting_lora_adapters="shop"}} 9.0',
    ]


def test_every_other_series_is_untouched() -> None:
    """Other series stay the same, byte for byte."""
    registry = CollectorRegistry()
    Counter("vllm:prompt_tokens", "Tokens.", ["model_name"], registry=registry).labels(
        "tiny@x"
    ).inc(3)
    assert generate_latest(VllmSeries(registry)) == generate_latest(registry)  # type: ignore[arg-type]


@pytest.mark.parametrize("accept", PARSERS)
async def test_metrics_can_be_parsed(api: Api, accept: str, engines_own_series: str) -> None:
    """Both formats are valid and hold our series and the engine's, names untouched."""
    await api.http.post("/v1/chat/completions", json={"model": "finance"})
    response = await api.http.get("/metrics", headers={"accept": accept})
    kind = "text/plain" if PARSERS[accept] is parse_text else "application/openmetrics-text"
    assert response.headers["content-type"].partition(";")[0] == kind
    samples = {
        (sample.name, sample.labels.get("adapter")): sample.value
        for family in PARSERS[accept](response.text)
        for sample in family.samples
    }
    assert samples["lorabay_requests_total", "finance"] == 1
    assert samples[engines_own_series, None] == 3


async def test_openmetrics_ends_once(api: Api) -> None:
    """The end mark stands at the end and nowhere else."""
    text = (await api.http.get("/metrics", headers={"accept": OPENMETRICS})).text
    assert text.count("# EOF") == 1
    assert text.endswith("# EOF\n")
