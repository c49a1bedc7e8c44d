"""All Prometheus series of lorabay, built on a registry that the caller owns.

Core code returns facts; the edge records them here. Labels are bounded: an adapter that is not
served counts under `UNKNOWN_ADAPTER`, the base under `BASE_ADAPTER`. Knows nothing of vLLM's own
`vllm:*` series, which live in another registry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily

BASE_ADAPTER = "__base__"
UNKNOWN_ADAPTER = "__unknown__"

_LATENCY = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_TOKEN_GAP = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The series of one server."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        counter = partial(Counter, registry=registry)
        latency = partial(Histogram, buckets=_LATENCY, registry=registry)
        token_gap = partial(Histogram, buckets=_TOKEN_GAP, registry=registry)

        self.requests = counter(
            "lorabay_requests",
            "Requests answered, by status code.",
            ["adapter", "endpoint", "code"],
        )
        self.time_to_first_token = latency(
            "lorabay_time_to_first_token_seconds",
            "From the request to its first streamed token.",
            ["adapter"],
        )
        self.inter_token = token_gap(
            "lorabay_inter_token_seconds",
            "Between two streamed tokens of one request.",
            ["adapter"],
        )
        self.request_seconds = latency(
            "lorabay_request_seconds",
            "From the request to the end of its answer.",
            ["adapter", "endpoint"],
        )
        self.prompt_tokens = counter(
            "lorabay_prompt_tokens", "Prompt tokens of finished requests.", ["adapter"]
        )
        self.generation_tokens = counter(
            "lorabay_generation_tokens", "Generated tokens of finished requests.", ["adapter"]
        )
        self.running = Gauge(
            "lorabay_requests_running", "Requests being answered.", ["adapter"], registry=registry
        )
        self.load_seconds = latency(
            "lorabay_adapter_load_seconds",
            "Loading a version's weights into the engine.",
            ["adapter"],
        )
        self.evictions = counter(
            "lorabay_adapter_evictions",
            "Times an adapter left the engine to make room.",
            ["adapter"],
        )
        self.swaps = counter(
            "lorabay_swaps",
            "Times an adapter's name went from one version to another.",
            ["adapter"],
        )
        self.reconcile_seconds = latency(
            "lorabay_reconcile_seconds",
            "One look at the adapter directory; at the start, with all that it led to.",
        )
        self.rejected = counter(
            "lorabay_rejected", "Adapter folders refused, by kind of defect.", ["reason"]
        )
        self.engine_restarts = counter(
            "lorabay_engine_restarts", "Times the engine died and was rebuilt."
        )

    def follow_adapters(self, facts: Callable[[], Iterable[AdapterFacts]]) -> None:
        """Add the adapters' gauges, which call `facts` at each scrape."""
        self.registry.register(AdapterCollector(facts))


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """What the gauges show of one adapter; without a live version, its fields are None."""

    adapter: str
    state: str
    version: str | None
    format: str | None
    rank: int | None
    level: str | None
    """Where the live version's weights are: `engine` or `store`."""

    approximate: float | None = None
    """Relative error of a version that approximates an adapter of another format."""


class AdapterCollector:
    """The adapters' gauges, made anew at each scrape, so that they are never stale."""

    def __init__(self, facts: Callable[[], Iterable[AdapterFacts]]) -> None:
        self._facts = facts

    def describe(self) -> tuple[GaugeMetricFamily, ...]:
        """Return the families without samples; prometheus_client asks for their names."""
        info = GaugeMetricFamily(
            "lorabay_adapter_info",
            "1 for the live version of each adapter.",
            labels=["adapter", "version", "format", "rank"],
        )
        state = GaugeMetricFamily(
            "lorabay_adapter_state",
            "1 for the present state of each adapter.",
            labels=["adapter", "state"],
        )
        resident = GaugeMetricFamily(
            "lorabay_adapter_resident",
            "1 for where the live version's weights are: `engine` or `store`.",
            labels=["adapter", "level"],
        )
        approximate = GaugeMetricFamily(
            "lorabay_adapter_approximate_error",
            "Relative error of a live version that is approximate.",
            labels=["adapter"],
        )
        return info, state, resident, approximate

    def collect(self) -> tuple[GaugeMetricFamily, ...]:
        """Return the families with a sample for each adapter that has one."""
        families = self.describe()
        info, state, resident, approximate = families

        for fact in self._facts():
            state.add_metric([fact.adapter, fact.state], 1)
            if fact.version is not None:
                info.add_metric([fact.adapter, fact.version, str(fact.format), str(fact.rank)], 1)
                resident.add_metric([fact.adapter, str(fact.level)], 1)
            if fact.approximate is not None:
                approximate.add_metric([fact.adapter], fact.approximate)

        return families
