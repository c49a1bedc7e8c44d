"""All Prometheus series of lorabay, built on a registry that the caller owns.

Core code returns facts; the edge records them here. Labels are bounded: an adapter that is not
served counts under `UNKNOWN_ADAPTER`, the base under `BASE_ADAPTER`. An adapter that goes takes its
series along. Histograms, which have many lines each, are kept for a bounded number of adapters; the
others share `OTHER_ADAPTER`. Some gauges bear names that vLLM plans for itself; the rest of its
`vllm:*` series live in another registry, of which nothing is known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily

BASE_ADAPTER = "__base__"
UNKNOWN_ADAPTER = "__unknown__"
OTHER_ADAPTER = "__other__"

DIGITS = 12
"""Hex digits of a digest in the label `version`."""

SHARED = frozenset({BASE_ADAPTER, UNKNOWN_ADAPTER, OTHER_ADAPTER})
"""Values of the label `adapter` that are no adapter's name."""

_LATENCY = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
_TOKEN_GAP = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)

Family = TypeVar("Family", Counter, Gauge, Histogram)


def _begin_at_zero(counter: Counter, *labels: str) -> None:
    """Show the series of these labels from the start: an alert cannot see an increase from nothing
    to one.
    """
    for label in labels:
        counter.labels(label)


class Metrics:
    """The series of one server; `own_histograms` adapters have latency histograms of their own."""

    def __init__(self, registry: CollectorRegistry, *, own_histograms: int = 50) -> None:
        self.registry = registry
        self._own_histograms = own_histograms
        self._with_histograms: set[str] = set()
        """The adapters that have histograms of their own: those that were the first to be asked."""
        self._used: dict[str, set[tuple[Counter | Gauge | Histogram, tuple[str, ...]]]] = {}
        """The series of each adapter: their family, and the labels besides `adapter`."""
        self._is_served: Callable[[str], bool] = lambda adapter: True

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
            "lorabay_prompt_tokens", "Prompt tokens of requests, however they ended.", ["adapter"]
        )
        self.generation_tokens = counter(
            "lorabay_generation_tokens",
            "Tokens generated for requests, however they ended.",
            ["adapter"],
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
        self._add_rebuilds(registry)
        self._add_slots(registry)
        self._add_directory(registry)
        self._add_sources(registry)
        self._add_disks(registry)
        self._add_connections(registry)
        self._add_grammars(registry)
        self._add_usage(registry)
        self._add_limits(registry)
        self._add_traces(registry)
        self._add_administrators(registry)
        self._add_rollouts(registry)

    def _add_rebuilds(self, registry: CollectorRegistry) -> None:
        self.engine_up = Gauge(
            "lorabay_engine_up",
            "1 while the engine takes requests, 0 while it starts or is rebuilt.",
            registry=registry,
        )
        self.engine_restarts = Counter(
            "lorabay_engine_restarts",
            "Times the engine was rebuilt, by why: it `died`, or it `hung`.",
            ["reason"],
            registry=registry,
        )
        _begin_at_zero(self.engine_restarts, "died", "hung")
        self.model_restarts = Counter(
            "lorabay_model_restarts",
            "Times the engine of a whole model was rebuilt, because it died or hung.",
            ["adapter"],
            registry=registry,
        )
        self.requests_refused = Counter(
            "lorabay_requests_refused",
            "Times a request was found that kills the engine, and is refused from then on.",
            registry=registry,
        )

    def _add_usage(self, registry: CollectorRegistry) -> None:
        self.usage_records = Counter(
            "lorabay_usage_records",
            "Records of usage, by what became of them: `inserted`, `lost` or `damaged`.",
            ["outcome"],
            registry=registry,
        )
        _begin_at_zero(self.usage_records, "inserted", "lost", "damaged")
        self.usage_failures = Counter(
            "lorabay_usage_failures",
            "Times that the disk of the `journal` or the `database` did not take usage.",
            ["where"],
            registry=registry,
        )
        _begin_at_zero(self.usage_failures, "journal", "database")
        self.usage_waiting = Gauge(
            "lorabay_usage_waiting",
            "Records of usage that are not in the database yet.",
            registry=registry,
        )

    def _add_traces(self, registry: CollectorRegistry) -> None:
        self.trace_spans = Counter(
            "lorabay_trace_spans",
            "Spans of traces, by what became of them: `exported`; `failed`, as the collector did "
            "not take them; `dropped`, as too many waited for it.",
            ["outcome"],
            registry=registry,
        )

    def _add_slots(self, registry: CollectorRegistry) -> None:
        self.slot_wait_seconds = Histogram(
            "lorabay_slot_wait_seconds",
            "Waits of requests whose adapter had no slot of the engine.",
            buckets=_LATENCY,
            registry=registry,
        )
        self.queue_seconds = Histogram(
            "lorabay_queue_seconds",
            "Waits of requests for a turn in the engine, while others had all of its places.",
            buckets=_LATENCY,
            registry=registry,
        )
        self.queue_waiting = Gauge(
            "lorabay_queue_waiting",
            "Requests that wait for a turn in the engine.",
            registry=registry,
        )
        self.queue_refusals = Counter(
            "lorabay_queue_refusals",
            "Requests that got no turn, by why: too many waited (`full`), too many of the same "
            "tenant (`tenant_full`), or it did not come in time (`timeout`).",
            ["reason"],
            registry=registry,
        )

    def _add_disks(self, registry: CollectorRegistry) -> None:
        self.store_free = Gauge(
            "lorabay_store_free_bytes",
            "Bytes that are free on the disk of the store.",
            registry=registry,
        )
        self.store_size = Gauge(
            "lorabay_store_size_bytes",
            "Bytes that the disk of the store has in all.",
            registry=registry,
        )

    def _add_directory(self, registry: CollectorRegistry) -> None:
        self.directory_state = Gauge(
            "lorabay_directory_state",
            "1 for the present state of the adapter directory; only in `ready` are names removed.",
            ["state"],
            registry=registry,
        )
        self.hanging = Gauge(
            "lorabay_file_systems_hanging",
            "Looks at folders and reads of them that wait for a file system that does not answer.",
            registry=registry,
        )

    def _add_sources(self, registry: CollectorRegistry) -> None:
        self.source_up = Gauge(
            "lorabay_source_up",
            "1 while a source of adapters can be listed; 0 while it is away, or shows nothing.",
            ["source"],
            registry=registry,
        )
        self.source_refused = Gauge(
            "lorabay_source_refused",
            "Adapters of a source that are not mirrored: refused, or not to be had.",
            ["source"],
            registry=registry,
        )

    def _add_connections(self, registry: CollectorRegistry) -> None:
        self.connections = Gauge(
            "lorabay_connections", "Connections of clients that are open.", registry=registry
        )
        self.connections_ended = Counter(
            "lorabay_connections_ended",
            "Connections that the server ended because of their client.",
            ["reason"],
            registry=registry,
        )

    def _add_grammars(self, registry: CollectorRegistry) -> None:
        self.grammars = Counter(
            "lorabay_grammars",
            "Structured outputs that were new, by what became of their compilation.",
            ["outcome"],
            registry=registry,
        )

    def _add_limits(self, registry: CollectorRegistry) -> None:
        self.limit_refusals = Counter(
            "lorabay_limit_refusals",
            "Requests that a limit of a key, a tenant or an adapter refused, by the limit.",
            ["limit"],
            registry=registry,
        )
        self.limits_divided = Gauge(
            "lorabay_limits_divided",
            "1 while a store of limits is gone, and the server keeps to its part of each limit.",
            ["store"],
            registry=registry,
        )

    def _add_administrators(self, registry: CollectorRegistry) -> None:
        self.audit_lost = Counter(
            "lorabay_audit_lost",
            "Deeds that are missing from the audit: the database did not take them in time.",
            registry=registry,
        )
        self.database_age = Gauge(
            "lorabay_database_age_seconds",
            "Time since the database of accounts has last told its keys; 0 without one.",
            registry=registry,
        )
        self.names_age = Gauge(
            "lorabay_names_age_seconds",
            "Time since the database of a cluster has last told what names mean; 0 without one.",
            registry=registry,
        )
        self.keeps_names = Gauge(
            "lorabay_names_kept",
            "1 on the server of a cluster that keeps the names, 0 on those that follow.",
            registry=registry,
        )
        self.issuer_keys_age = Gauge(
            "lorabay_issuer_keys_age_seconds",
            "Time since the issuer of administrators' tokens has last told its keys.",
            ["issuer"],
            registry=registry,
        )

    def _add_rollouts(self, registry: CollectorRegistry) -> None:
        self.rollout_share = Gauge(
            "lorabay_rollout_share",
            "Share of an adapter's clients that its canary answers, while a rollout runs.",
            ["adapter", "version"],
            registry=registry,
        )
        self.rollout_answers = Counter(
            "lorabay_rollout_answers",
            "Answers in a rollout, by version, by its arm (`live` or `canary`) and by outcome "
            "(`answered` or `failed`).",
            ["adapter", "version", "arm", "outcome"],
            registry=registry,
        )
        self.rollouts_ended = Counter(
            "lorabay_rollouts_ended",
            "Rollouts that ended, by how: `promoted`, `rolled_back` by a guard, `stopped` by an "
            "administrator, or `overtaken` by another change of the adapter.",
            ["outcome"],
            registry=registry,
        )
        _begin_at_zero(self.rollouts_ended, "promoted", "rolled_back", "stopped", "overtaken")

    def show_rollout(self, adapter: str, version: str, share: float) -> None:
        """Show the share, from 0 to 1, that the canary `version` of an adapter has."""
        self.of(adapter, self.rollout_share, version[:DIGITS]).set(share)

    def of_rollout(self, adapter: str, version: str, arm: str, outcome: str) -> Counter:
        """Return the count of a version's answers with this outcome."""
        return self.of(adapter, self.rollout_answers, version[:DIGITS], arm, outcome)

    def end_rollout(self, adapter: str, outcome: str) -> None:
        """Count the end of a rollout; the series of its versions go."""
        self.rollouts_ended.labels(outcome).inc()
        self.forget_rollout(adapter)

    def forget_rollout(self, adapter: str) -> None:
        """Take away the series of the versions of a rollout."""
        used = self._used.get(adapter, set())
        for family, others in tuple(used):
            if family in (self.rollout_share, self.rollout_answers):
                family.remove(adapter, *others)
                used.discard((family, others))

    def of(self, adapter: str, family: Family, *others: str) -> Family:
        """Return the series of `adapter` in a family; `others` are the values of further labels.

        What was taken before the adapter went is shown no longer.
        """
        label = self._label(adapter, family)
        if label not in SHARED:
            self._used.setdefault(label, set()).add((family, others))
        return family.labels(label, *others)

    def _label(self, adapter: str, family: Counter | Gauge | Histogram) -> str:
        if adapter in SHARED:
            return adapter
        if not self._is_served(adapter):
            return UNKNOWN_ADAPTER
        if not isinstance(family, Histogram) or adapter in self._with_histograms:
            return adapter

        if len(self._with_histograms) >= self._own_histograms:
            return OTHER_ADAPTER
        self._with_histograms.add(adapter)
        return adapter

    def forget(self, adapter: str) -> None:
        """Remove the series of an adapter that is not served any more."""
        self._with_histograms.discard(adapter)
        for family, others in self._used.pop(adapter, ()):
            family.remove(adapter, *others)

    def follow_adapters(
        self,
        facts: Callable[[], Iterable[AdapterFacts]],
        *,
        slots: Callable[[], SlotFacts | None] = lambda: None,
        is_served: Callable[[str], bool] = lambda adapter: True,
    ) -> None:
        """Add the adapters' gauges, which call `facts` and `slots` at each scrape.

        From now on, adapters of which `is_served` returns False have no series of their own.
        """
        self._is_served = is_served
        self.registry.register(AdapterCollector(facts, slots))


@dataclass(frozen=True, slots=True)
class SlotFacts:
    """What routers want to know of an engine's places for adapters, at one moment.

    `taken` and `total` are places in the device's memory, `loaded` is how many versions are in the
    host's. `in_slots` and `loading` are adapters by name; `at` is the time of day, in seconds.
    """

    base: str
    taken: int
    total: int
    loaded: int
    in_slots: tuple[str, ...] = ()
    loading: tuple[str, ...] = ()
    at: float = 0.0


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

    in_slot: bool = False
    """True if the live version is in the device's memory."""

    pinned: bool = False

    approximate: float | None = None
    """Relative error of a version that approximates an adapter of another format."""


Row = tuple[dict[str, str], float]
"""The labels of a sample, in the order of its family, and its value."""


class AdapterCollector:
    """The adapters' gauges, made anew at each scrape, so that they are never stale."""

    def __init__(
        self,
        facts: Callable[[], Iterable[AdapterFacts]],
        slots: Callable[[], SlotFacts | None] = lambda: None,
    ) -> None:
        self.facts = facts
        self._slots = slots

    def describe(self) -> tuple[GaugeMetricFamily, ...]:
        """Return the families without samples; prometheus_client asks for their names."""
        return (*self.families(), *_slot_families())

    def families(self) -> tuple[GaugeMetricFamily, ...]:
        """Return the families that have a sample for an adapter, without any."""
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
        loaded = GaugeMetricFamily(
            "vllm:lora_adapter_loaded",
            "1 for each adapter in the engine: `gpu` in the device's memory, `cpu` in the host's.",
            labels=["adapter_name", "level", "pinned", "rank"],
        )
        return info, state, resident, approximate, loaded

    def collect(self) -> tuple[GaugeMetricFamily, ...]:
        """Return the families with a sample for each adapter that has one."""
        families = self.families()
        for fact in self.facts():
            for family, row in zip(families, self.rows(fact), strict=True):
                if row is not None:
                    labels, value = row
                    family.add_metric(list(labels.values()), value)
        return (*families, *self.slot_gauges())

    def rows(self, fact: AdapterFacts) -> tuple[Row | None, ...]:
        """Return the labels and the value of an adapter in each of the families; None for none."""
        name = fact.adapter
        info = resident = approximate = loaded = None
        if fact.version is not None:
            facts = {"version": fact.version, "format": str(fact.format), "rank": str(fact.rank)}
            info = {"adapter": name} | facts, 1.0
            resident = {"adapter": name, "level": str(fact.level)}, 1.0
        if fact.approximate is not None:
            approximate = {"adapter": name}, fact.approximate
        if fact.level == "engine":
            level, pinned = "gpu" if fact.in_slot else "cpu", str(fact.pinned).lower()
            loaded = (
                {"adapter_name": name, "level": level, "pinned": pinned, "rank": str(fact.rank)},
                1.0,
            )

        state = {"adapter": name, "state": fact.state}, 1.0
        return info, state, resident, approximate, loaded

    def slot_gauges(self) -> tuple[GaugeMetricFamily, ...]:
        """Return the gauges of the slots; none while there is no engine to ask."""
        slots = self._slots()
        if slots is None:
            return ()

        taken, total, loaded, info = _slot_families()
        engine = [slots.base, "0"]
        taken.add_metric(engine, slots.taken)
        total.add_metric(engine, slots.total)
        loaded.add_metric(engine, slots.loaded)

        names = [",".join(slots.in_slots), ",".join(slots.loading)]
        info.add_metric([str(slots.total), *names], slots.at)
        return taken, total, loaded, info


def _slot_families() -> tuple[GaugeMetricFamily, ...]:
    """Return the families that routers read of an engine, with vLLM's names and labels.

    https://github.com/vllm-project/vllm/pull/54830 has the first three. Of the last one, vLLM's own
    names adapters that have requests, where the protocol of routers asks for those in a slot.
    """
    engine = ["model_name", "engine"]
    taken = GaugeMetricFamily(
        "vllm:num_gpu_loaded_lora_adapters",
        "Versions of adapters in the device's memory.",
        labels=engine,
    )
    total = GaugeMetricFamily(
        "vllm:max_gpu_lora_adapters",
        "Versions of adapters that fit into the device's memory.",
        labels=engine,
    )
    loaded = GaugeMetricFamily(
        "vllm:num_cpu_loaded_lora_adapters",
        "Versions of adapters in the host's memory, those in the device's included.",
        labels=engine,
    )
    info = GaugeMetricFamily(
        "vllm:lora_requests_info",
        "The time of day; its labels name the adapters in a slot, and those being loaded.",
        labels=["max_lora", "running_lora_adapters", "waiting_lora_adapters"],
    )
    return taken, total, loaded, info
