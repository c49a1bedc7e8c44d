"""The metrics page: both formats, and what scrapers see of vLLM's series."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, generate_latest
from prometheus_client.core import REGISTRY
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from lorabay.api.measuring.exposition import TEXT
from lorabay.api.measuring.metrics_page import OURS, Pages, VllmSeries
from lorabay.api.measuring.request_metrics import RequestMetrics
from lorabay.api.measuring.series import Series
from lorabay.metrics import AdapterCollector, AdapterFacts, Metrics
from lorabay.serving.engine import CHAT, Usage
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


def test_two_engines_share_a_family() -> None:
    """A family stands once in a page, with the samples of both."""
    registry = CollectorRegistry()
    running = Gauge("vllm:num_requests_running", "R", ["model_name"], registry=registry)
    running.labels("tiny").set(1)
    other = CollectorRegistry()
    Gauge("vllm:num_requests_running", "R", ["model_name"], registry=other).labels("bank").set(2)

    class Both:
        def collect(self) -> Iterator[Metric]:
            yield from registry.collect()
            yield from other.collect()

    text = generate_latest(VllmSeries(Both())).decode()  # type: ignore[arg-type]
    assert text.count("# TYPE") == 1
    assert 'vllm:num_requests_running{model_name="bank"} 2.0' in text
    assert 'vllm:num_requests_running{model_name="tiny"} 1.0' in text


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


def test_series_that_a_later_vllm_has_are_not_shown_twice() -> None:
    """Those of vLLM's names that are ours hide its own: Prometheus refuses a page with both."""
    registry = CollectorRegistry()
    for name in OURS:
        Gauge(name, "vLLM's own.", registry=registry)
    assert list(VllmSeries(registry).collect()) == []
    described = {family.name for family in AdapterCollector(list).describe()}
    assert {name for name in described if name.startswith("vllm:")} == OURS


class Counted:
    """A registry that counts how often it is read; `now` is a clock."""

    def __init__(self) -> None:
        self.reads = 0
        self.now = 50.0

    def collect(self) -> Iterator[Metric]:
        self.reads += 1
        yield Metric(f"read_{self.reads}", "Read.", "gauge")


async def test_scrapes_in_a_loop_cost_one_a_second() -> None:
    """A page is shown for a second, then it is made anew."""
    series = Counted()
    pages = Pages(TEXT, series, CollectorRegistry(), clock=lambda: series.now)
    first = await pages.read()
    series.now += 0.9
    assert await pages.read() is first
    series.now += 0.2
    assert b"read_2" in (await pages.read()).text
    assert series.reads == 2


async def test_a_page_is_packed_for_those_who_ask(api: Api) -> None:
    """The content is the same, and smaller; caches are told what it depends on."""
    plain = await api.http.get("/metrics", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    packed = await api.http.get("/metrics", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.text == plain.text
    assert int(packed.headers["content-length"]) < len(plain.content)
    assert packed.headers["vary"] == "accept, accept-encoding"


async def test_packing_is_done_once() -> None:
    """A second scrape takes the bytes of the first."""
    page = await Pages(TEXT, Counted(), CollectorRegistry()).read()
    packed = await page.packed()
    assert await page.packed() is packed
    assert gzip.decompress(packed) == page.text


def series_of(adapters: int) -> Metrics:
    """Return the metrics of a server with so many adapters, each asked once for a stream."""
    metrics = Metrics(CollectorRegistry())
    facts = [
        AdapterFacts(f"adapter-{n}", "ready", f"{n:012}", "lora", 16, "engine")
        for n in range(adapters)
    ]
    metrics.follow_adapters(lambda: facts)
    for fact in facts:
        with RequestMetrics(metrics, CHAT) as measured:
            measured.begin(fact.adapter)
            measured.token()
            measured.status, measured.usage = 200, Usage(10, 20)
        metrics.of(fact.adapter, metrics.load_seconds).observe(1)
    return metrics


async def test_a_thousand_adapters_fit_on_a_page() -> None:
    """Each has its counters and gauges, and fifty have histograms."""
    metrics = series_of(1000)
    page = await Pages(TEXT, Series(metrics.registry), CollectorRegistry()).read()
    assert page.text.count(b"\n") < 12_000
    assert len(page.text) < 1_000_000
    assert page.text.count(b"lorabay_requests_total{") == 1000
    assert page.text.count(b"lorabay_time_to_first_token_seconds_count{") == 51
