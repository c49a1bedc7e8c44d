"""What is measured rather than counted: requests that run and wait, slots, the engine's cache.

Read from series that exist for Prometheus, one family at a time: a look at all of them would take
as long as a scrape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import Counter, Gauge, Histogram

    from lorabay.metrics import Metrics

KV_CACHE = "vllm:kv_cache_usage_perc"


def read_gauges(metrics: Metrics) -> Mapping[str, float | None]:
    """Return the gauges of now, by name.

    `kv_cache` is a share of one, and None while no engine tells. Loads, evictions, swaps and
    restarts are counts since the server began.
    """
    return {
        "running": total(metrics.running),
        "waiting": total(metrics.queue_waiting),
        "kv_cache": kv_cache(),
        "loads": total(metrics.load_seconds, "_count"),
        "evictions": total(metrics.evictions, "_total"),
        "swaps": total(metrics.swaps, "_total"),
        "restarts": total(metrics.engine_restarts, "_total"),
    }


def total(family: Counter | Gauge | Histogram, suffix: str = "") -> float:
    """Return the sum of a family's samples, over all of its labels."""
    return sum(
        sample.value
        for metric in family.collect()
        for sample in metric.samples
        if sample.name == f"{metric.name}{suffix}"
    )


def kv_cache() -> float | None:
    """Return the share of the engine's cache that is taken; the mean of several engines."""
    shares = [
        sample.value
        for metric in REGISTRY.restricted_registry([KV_CACHE]).collect()
        for sample in metric.samples
    ]
    return sum(shares) / len(shares) if shares else None
