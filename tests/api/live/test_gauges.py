"""Gauges are what the series for Prometheus say."""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, Gauge

from lorabay.api.live.gauges import KV_CACHE, kv_cache, read_gauges
from lorabay.metrics import Metrics


def test_gauges_are_sums_over_adapters() -> None:
    """Of what runs and waits, of loads, evictions, swaps and restarts."""
    metrics = Metrics(CollectorRegistry())
    metrics.of("finance", metrics.running).inc(2)
    metrics.of("shop", metrics.running).inc()
    metrics.queue_waiting.set(4)
    metrics.of("shop", metrics.load_seconds).observe(0.5)
    metrics.of("shop", metrics.evictions).inc()
    metrics.engine_restarts.labels("died").inc()
    gauges = read_gauges(metrics)
    assert gauges | {"kv_cache": None} == {
        "running": 3,
        "waiting": 4,
        "kv_cache": None,
        "loads": 1,
        "evictions": 1,
        "swaps": 0,
        "restarts": 1,
    }


def test_the_cache_is_the_engines_own_figure() -> None:
    """None while there is no engine."""
    assert kv_cache() is None
    gauge = Gauge(KV_CACHE, "Share of the cache.", ["engine"])
    try:
        gauge.labels("0").set(0.5)
        gauge.labels("1").set(0.25)
        assert kv_cache() == 0.375
    finally:
        REGISTRY.unregister(gauge)
