"""The series of a server: names, labels, and gauges that cannot be stale."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client import REGISTRY, CollectorRegistry

from lorabay.metrics import (
    BASE_ADAPTER,
    OTHER_ADAPTER,
    SHARED,
    UNKNOWN_ADAPTER,
    AdapterCollector,
    AdapterFacts,
    Metrics,
    SlotFacts,
)

CONTRACT = {
    "lorabay_requests": ("adapter", "endpoint", "code"),
    "lorabay_time_to_first_token_seconds": ("adapter",),
    "lorabay_inter_token_seconds": ("adapter",),
    "lorabay_request_seconds": ("adapter", "endpoint"),
    "lorabay_prompt_tokens": ("adapter",),
    "lorabay_generation_tokens": ("adapter",),
    "lorabay_requests_running": ("adapter",),
    "lorabay_adapter_load_seconds": ("adapter",),
    "lorabay_slot_wait_seconds": (),
    "lorabay_queue_seconds": (),
    "lorabay_queue_waiting": (),
    "lorabay_queue_refusals": ("reason",),
    "lorabay_adapter_evictions": ("adapter",),
    "lorabay_reconcile_seconds": (),
    "lorabay_rejected": ("reason",),
    "lorabay_store_free_bytes": (),
    "lorabay_store_size_bytes": (),
    "lorabay_directory_state": ("state",),
    "lorabay_file_systems_hanging": (),
    "lorabay_source_up": ("source",),
    "lorabay_source_refused": ("source",),
    "lorabay_engine_up": (),
    "lorabay_engine_restarts": ("reason",),
    "lorabay_model_restarts": ("adapter",),
    "lorabay_requests_refused": (),
    "lorabay_grammars": ("outcome",),
    "lorabay_limit_refusals": ("limit",),
    "lorabay_limits_divided": ("store",),
    "lorabay_swaps": ("adapter",),
    "lorabay_connections": (),
    "lorabay_connections_ended": ("reason",),
    "lorabay_usage_records": ("outcome",),
    "lorabay_usage_failures": ("where",),
    "lorabay_usage_waiting": (),
    "lorabay_trace_spans": ("outcome",),
    "lorabay_audit_lost": (),
    "lorabay_database_age_seconds": (),
    "lorabay_names_age_seconds": (),
    "lorabay_names_kept": (),
    "lorabay_issuer_keys_age_seconds": ("issuer",),
    "lorabay_rollout_share": ("adapter", "version"),
    "lorabay_rollout_answers": ("adapter", "version", "arm", "outcome"),
    "lorabay_rollouts_ended": ("outcome",),
}
ADAPTER_GAUGES = {
    "lorabay_adapter_info": ("adapter", "version", "format", "rank"),
    "lorabay_adapter_state": ("adapter", "state"),
    "lorabay_adapter_resident": ("adapter", "level"),
    "lorabay_adapter_approximate_error": ("adapter",),
    "vllm:lora_adapter_loaded": ("adapter_name", "level", "pinned", "rank"),
    "vllm:num_gpu_loaded_lora_adapters": ("model_name", "engine"),
    "vllm:max_gpu_lora_adapters": ("model_name", "engine"),
    "vllm:num_cpu_loaded_lora_adapters": ("model_name", "engine"),
    "vllm:lora_requests_info": ("max_lora", "running_lora_adapters", "waiting_lora_adapters"),
}
FINANCE = AdapterFacts("finance", "ready", "3f9c1a2b4d5e", "lora", 16, "engine")
BROKEN = AdapterFacts("broken", "rejected", None, None, None, None)


def test_the_contracts_series() -> None:
    """Dashboards and alerts rely on these names and labels."""
    metrics = Metrics(CollectorRegistry())
    made = {
        series._name: tuple(series._labelnames)
        for series in vars(metrics).values()
        if hasattr(series, "_name")
    }
    assert made == CONTRACT


def test_the_adapters_gauges() -> None:
    """Their names and labels can be read without an adapter that has a sample of each."""
    families = AdapterCollector(list).describe()
    assert {family.name: family._labelnames for family in families} == ADAPTER_GAUGES
    assert not any(family.samples for family in families)


def test_every_series_is_documented() -> None:
    """Every series has a sentence on its meaning."""
    families = list(Metrics(CollectorRegistry()).registry.collect())
    assert len(families) >= len(CONTRACT)
    assert all(family.documentation.endswith(".") for family in families)


def test_two_servers_do_not_share_series() -> None:
    """Series belong to the registry that was passed in; the process's own has none."""
    first, second = Metrics(CollectorRegistry()), Metrics(CollectorRegistry())
    first.requests_refused.inc()
    assert first.registry.get_sample_value("lorabay_requests_refused_total") == 1
    assert second.registry.get_sample_value("lorabay_requests_refused_total") == 0
    assert REGISTRY.get_sample_value("lorabay_requests_refused_total") is None


def test_adapters_are_shown_as_they_are_now() -> None:
    """A removed adapter's gauges are gone with the next scrape."""
    metrics = Metrics(CollectorRegistry())
    facts = [FINANCE, BROKEN]
    metrics.follow_adapters(lambda: facts)
    value = metrics.registry.get_sample_value
    info = {"adapter": "finance", "version": "3f9c1a2b4d5e", "format": "lora", "rank": "16"}
    assert value("lorabay_adapter_info", info) == 1
    assert value("lorabay_adapter_state", {"adapter": "finance", "state": "ready"}) == 1
    assert value("lorabay_adapter_resident", {"adapter": "finance", "level": "engine"}) == 1
    facts.remove(FINANCE)
    assert value("lorabay_adapter_info", info) is None
    assert value("lorabay_adapter_state", {"adapter": "finance", "state": "ready"}) is None


def test_an_adapter_without_a_live_version_has_only_a_state() -> None:
    """An adapter that is not served has no version, no rank and no place."""
    metrics = Metrics(CollectorRegistry())
    metrics.follow_adapters(lambda: [BROKEN])
    samples = [
        sample
        for family in metrics.registry.collect()
        for sample in family.samples
        if "broken" in str(sample)
    ]
    assert [sample.name for sample in samples] == ["lorabay_adapter_state"]


def test_shared_labels_are_no_adapters_names() -> None:
    """No adapter can be named like the labels that adapters share."""
    from lorabay.catalog.names import name_problems

    assert len(SHARED) == 3
    assert all(name_problems(label) for label in SHARED)


def test_only_an_approximate_version_shows_its_error() -> None:
    """An exact version has no such series."""
    registry = CollectorRegistry()
    exact = AdapterFacts("exact", "ready", "0" * 12, "lora", 8, "engine")
    Metrics(registry).follow_adapters(
        lambda: [exact, replace(exact, adapter="rough", approximate=0.02)]
    )
    assert (
        registry.get_sample_value("lorabay_adapter_approximate_error", {"adapter": "rough"}) == 0.02
    )
    assert (
        registry.get_sample_value("lorabay_adapter_approximate_error", {"adapter": "exact"}) is None
    )


def test_an_adapter_that_goes_takes_its_series_along() -> None:
    """Nothing of it is left on the page; the others stay."""
    metrics = Metrics(CollectorRegistry())
    for adapter in ("finance", "shop"):
        use_every_family(metrics, adapter)
    assert "finance" in adapters_on(metrics)
    metrics.forget("finance")
    metrics.forget("nobody")
    assert adapters_on(metrics) == {"shop"}


def use_every_family(metrics: Metrics, adapter: str) -> None:
    """Record one fact in each family that has adapters."""
    metrics.of(adapter, metrics.requests, "chat", "200").inc()
    metrics.of(adapter, metrics.request_seconds, "chat").observe(1)
    metrics.of(adapter, metrics.running).inc()
    for counter in (
        metrics.prompt_tokens,
        metrics.generation_tokens,
        metrics.evictions,
        metrics.model_restarts,
        metrics.swaps,
    ):
        metrics.of(adapter, counter).inc()
    metrics.show_rollout(adapter, "a" * 64, 0.1)
    metrics.of_rollout(adapter, "a" * 64, "canary", "answered").inc()
    for histogram in (metrics.time_to_first_token, metrics.inter_token, metrics.load_seconds):
        metrics.of(adapter, histogram).observe(1)


def adapters_on(metrics: Metrics) -> set[str]:
    """Return the adapters that the page names."""
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    return {sample.labels["adapter"] for sample in samples if "adapter" in sample.labels}


def test_every_family_with_adapters_is_used_above() -> None:
    """A family that is added is forgotten with its adapter, too."""
    metrics = Metrics(CollectorRegistry())
    use_every_family(metrics, "finance")
    used = {
        family.name
        for family in metrics.registry.collect()
        if any("adapter" in sample.labels for sample in family.samples)
    }
    assert used == {name for name, labels in CONTRACT.items() if "adapter" in labels}


def test_the_end_of_a_rollout_takes_its_versions_series_along() -> None:
    """Those of the adapter, and of other rollouts, stay; the end is counted."""
    metrics = Metrics(CollectorRegistry())
    for adapter in ("finance", "shop"):
        use_every_family(metrics, adapter)
    metrics.end_rollout("finance", "stopped")
    left = [
        (sample.name, sample.labels["adapter"])
        for family in metrics.registry.collect()
        for sample in family.samples
        if "version" in sample.labels and not sample.name.endswith("_created")
    ]
    assert left == [("lorabay_rollout_share", "shop"), ("lorabay_rollout_answers_total", "shop")]
    assert "finance" in adapters_on(metrics)
    value = metrics.registry.get_sample_value
    assert value("lorabay_rollouts_ended_total", {"outcome": "stopped"}) == 1
    assert value("lorabay_rollouts_ended_total", {"outcome": "promoted"}) == 0


def test_a_rollout_that_another_server_ends_is_not_counted() -> None:
    """Its series go all the same."""
    metrics = Metrics(CollectorRegistry())
    metrics.show_rollout("finance", "a" * 64, 0.1)
    metrics.forget_rollout("finance")
    assert adapters_on(metrics) == set()
    value = metrics.registry.get_sample_value
    assert value("lorabay_rollouts_ended_total", {"outcome": "stopped"}) == 0


def test_what_an_adapter_does_after_it_went_counts_as_unknown() -> None:
    """A request that outlives its adapter does not bring its series back."""
    metrics = Metrics(CollectorRegistry())
    served = {"finance"}
    metrics.follow_adapters(list, is_served=served.__contains__)
    running = metrics.of("finance", metrics.running)
    running.inc()
    served.clear()
    metrics.forget("finance")
    running.dec()
    use_every_family(metrics, "finance")
    assert adapters_on(metrics) == {UNKNOWN_ADAPTER}


def test_shared_labels_are_served_whatever_becomes_of_adapters() -> None:
    """The base is no adapter, and has its series in a server without one."""
    metrics = Metrics(CollectorRegistry(), own_histograms=0)
    metrics.follow_adapters(list, is_served=lambda adapter: False)
    for label in (BASE_ADAPTER, UNKNOWN_ADAPTER):
        use_every_family(metrics, label)
        metrics.forget(label)
    assert adapters_on(metrics) == {BASE_ADAPTER, UNKNOWN_ADAPTER}


def test_a_bounded_number_of_adapters_have_histograms() -> None:
    """The first ones have their own, and all have their own counters; a place becomes free when an
    adapter goes.
    """
    metrics = Metrics(CollectorRegistry(), own_histograms=2)
    for adapter in ("a", "b", "c", "a"):
        use_every_family(metrics, adapter)
    value = metrics.registry.get_sample_value
    series = "lorabay_time_to_first_token_seconds_count"
    assert [value(series, {"adapter": name}) for name in ("a", "b", "c")] == [2, 1, None]
    assert value(series, {"adapter": OTHER_ADAPTER}) == 1
    assert value("lorabay_prompt_tokens_total", {"adapter": "c"}) == 1
    metrics.forget("a")
    use_every_family(metrics, "c")
    assert value(series, {"adapter": "c"}) == 1


def test_routers_see_where_adapters_are() -> None:
    """Each adapter in the engine has one level, the higher of two; one in the store has none."""
    metrics = Metrics(CollectorRegistry())
    cold = replace(FINANCE, adapter="cold", level="store")
    facts = [replace(FINANCE, in_slot=True), replace(FINANCE, adapter="shop", pinned=True), cold]
    slots = SlotFacts("tiny", taken=1, total=4, loaded=2, in_slots=("finance",), at=1700.0)
    metrics.follow_adapters(lambda: [*facts, BROKEN], slots=lambda: slots)
    (loaded,) = [
        family for family in metrics.registry.collect() if family.name == "vllm:lora_adapter_loaded"
    ]
    assert [tuple(sample.labels.values()) for sample in loaded.samples] == [
        ("finance", "gpu", "false", "16"),
        ("shop", "cpu", "true", "16"),
    ]
    value, engine = metrics.registry.get_sample_value, {"model_name": "tiny", "engine": "0"}
    assert value("vllm:num_gpu_loaded_lora_adapters", engine) == 1
    assert value("vllm:max_gpu_lora_adapters", engine) == 4
    assert value("vllm:num_cpu_loaded_lora_adapters", engine) == 2


def test_older_routers_read_the_slots_from_names() -> None:
    """The labels of one series list the adapters in a slot and those on their way; its value is the
    time, by which a router finds the newest.
    """
    metrics = Metrics(CollectorRegistry())
    slots = SlotFacts("tiny", 2, 4, 2, ("finance", "shop"), ("travel",), at=1700.0)
    metrics.follow_adapters(list, slots=lambda: slots)
    labels = {
        "max_lora": "4",
        "running_lora_adapters": "finance,shop",
        "waiting_lora_adapters": "travel",
    }
    assert metrics.registry.get_sample_value("vllm:lora_requests_info", labels) == 1700


def test_without_an_engine_nothing_is_said_of_slots() -> None:
    """A router takes an absent series for not known, and a zero for empty."""
    metrics = Metrics(CollectorRegistry())
    metrics.follow_adapters(list)
    names = {sample.name for family in metrics.registry.collect() for sample in family.samples}
    assert not [name for name in names if name.startswith("vllm:")]
