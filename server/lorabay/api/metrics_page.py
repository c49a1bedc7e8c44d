"""vLLM's own Prometheus series as they leave this server: untouched, but for the names of adapters.

vLLM knows versions (`finance@3f9c1a2b4d5e`), because two of one adapter may run in one batch.
Routers that read `vllm:lora_requests_info` to find where an adapter is loaded know what clients ask
for (`finance`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

LORA_INFO = "vllm:lora_requests_info"
ADAPTER_LISTS = ("running_lora_adapters", "waiting_lora_adapters")
"""Labels of that series that hold names, joined by commas."""


class VllmSeries:
    """The series of vLLM's registry, for an exposition to collect."""

    def __init__(self, registry: Collector) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """Give every family; of samples that differ only in versions, the newest."""
        for family in self._registry.collect():
            yield _by_adapter(family) if family.name == LORA_INFO else family


def _by_adapter(family: Metric) -> Metric:
    newest: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in family.samples:
        labels = tuple(
            (name, _names(text) if name in ADAPTER_LISTS else text)
            for name, text in sample.labels.items()
        )
        newest[labels] = max(sample.value, newest.get(labels, 0.0))
    renamed = GaugeMetricFamily(family.name, family.documentation)
    for labels, value in newest.items():
        renamed.add_sample(family.name, dict(labels), value)
    return renamed


def _names(versions: str) -> str:
    return ",".join(dict.fromkeys(version.partition("@")[0] for version in versions.split(",")))
