"""The series of a server: names, labels, and gauges that cannot be stale."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client import REGISTRY, CollectorRegistry

from lorabay.metrics import BASE_ADAPTER, UNKNOWN_ADAPTER, AdapterCollector, AdapterFacts, Metrics

CONTRACT = {
    "lorabay_requests": ("adapter", "endpoint", "code"),
    "lorabay_time_to_first_token_seconds": ("adapter",),
    "lorabay_inter_token_seconds": ("adapter",),
    "lorabay_request_seconds": ("adapter", "endpoint"),
    "lorabay_prompt_tokens": ("adapter",),
    "lorabay_generation_tokens": ("adapter",),
    "lorabay_requests_running": ("adapter",),
    "lorabay_adapter_load_seconds": ("adapter",),
    "lorabay_adapter_evictions": ("adapter",),
    "lorabay_reconcile_seconds": (),
    "lorabay_rejected": ("reason",),
    "lorabay_engine_restarts": (),
    "lorabay_swaps": ("adapter",),
}
ADAPTER_GAUGES = {
    "lorabay_adapter_info": ("adapter", "version", "format", "rank"),
    "lorabay_adapter_state": ("adapter", "state"),
    "lorabay_adapter_resident": ("adapter", "level"),
    "lorabay_adapter_approximate_error": ("adapter",),
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
    first.engine_restarts.inc()
    assert first.registry.get_sample_value("lorabay_engine_restarts_total") == 1
    assert second.registry.get_sample_value("lorabay_engine_restarts_total") == 0
    assert REGISTRY.get_sample_value("lorabay_engine_restarts_total") is None


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
    """No adapter can be named like the labels of the base and of unknown names."""
    from lorabay.catalog.names import name_problems

    assert name_problems(BASE_ADAPTER)
    assert name_problems(UNKNOWN_ADAPTER)


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
