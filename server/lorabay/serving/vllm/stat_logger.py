"""vLLM's Prometheus loggers: with one series put right, and for more than one engine in a process.

`vllm:lora_requests_info` names the adapters of running and of waiting requests in two labels. vLLM
puts every adapter that has a request into both, and adds a series for every set of names that ever
ran together, so that a server with many adapters fills its memory and its page.

A new logger of vLLM's takes all of its series out of the process's registry, those of another
engine too. So the logger of a whole model keeps its own apart, and shows them there as one more
collector: their label `model_name` tells them from the others.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from prometheus_client import REGISTRY
from vllm.v1.metrics.loggers import PrometheusStatLogger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client import Metric
    from prometheus_client.registry import Collector
    from vllm.config import VllmConfig
    from vllm.v1.engine.async_llm import AsyncLLM
    from vllm.v1.metrics.stats import SchedulerStats

PREFIX = "vllm:"

_making = threading.Lock()
"""Held while a logger is made: engines start in threads, and the registry is one."""


class StatLogger(PrometheusStatLogger):  # type: ignore[misc] # vLLM has no types
    """vLLM's logger, whose series of adapters holds those that have such a request now."""

    def __init__(self, vllm_config: VllmConfig, engine_indexes: list[int] | None = None) -> None:
        with _making:
            super().__init__(vllm_config, engine_indexes)

    def record(self, scheduler_stats: SchedulerStats | None, *rest: Any, **named: Any) -> None:
        """Log one step of the engine."""
        if scheduler_stats is not None and self.gauge_lora_info is not None:
            scheduler_stats.running_lora_adapters = _present(scheduler_stats.running_lora_adapters)
            scheduler_stats.waiting_lora_adapters = _present(scheduler_stats.waiting_lora_adapters)
            self.gauge_lora_info.clear()
        super().record(scheduler_stats, *rest, **named)


def _present(counts: dict[str, int]) -> dict[str, int]:
    """Return the adapters that have a request, in an order of their own."""
    return {name: count for name, count in sorted(counts.items()) if count}


class ModelStatLogger(PrometheusStatLogger):  # type: ignore[misc] # vLLM has no types
    """vLLM's logger of a whole model's engine, beside that of the adapters' engine."""

    def __init__(self, vllm_config: VllmConfig, engine_indexes: list[int] | None = None) -> None:
        self._series = ModelSeries()
        with _registered_in(self._series):
            super().__init__(vllm_config, engine_indexes)
        REGISTRY.register(self._series)

    def log_engine_initialized(self) -> None:
        """Note the configuration, which adds further families."""
        with _registered_in(self._series):
            super().log_engine_initialized()

    def forget(self) -> None:
        """Show the series no longer; idempotent."""
        with suppress(KeyError):
            REGISTRY.unregister(self._series)


class ModelSeries:
    """The series of one engine, as one collector among others."""

    def __init__(self) -> None:
        self.collectors: list[Collector] = []

    def describe(self) -> list[Metric]:
        """Return nothing: the registry would refuse names that another engine has."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Return every family."""
        for collector in tuple(self.collectors):
            yield from collector.collect()


def forget_series(llm: AsyncLLM) -> None:
    """Take the series of a whole model's engine away, which has ended."""
    for logger in getattr(llm.logger_manager, "stat_loggers", ()):
        if isinstance(logger, ModelStatLogger):
            logger.forget()


@contextmanager
def _registered_in(series: ModelSeries) -> Iterator[None]:
    """Have what vLLM registers in the block be part of `series`, and nothing be taken away by it.

    A scrape in these milliseconds may miss series of vLLM's.
    """
    with _making:
        others = _registered()
        _take_out(others)
        try:
            yield
        finally:
            own = _registered()
            _take_out(own)
            series.collectors += own
            for collector in others:
                REGISTRY.register(collector)


def _registered() -> list[Collector]:
    """Return the collectors that vLLM itself registers, and takes away."""
    known = list(REGISTRY._collector_to_names)
    return [one for one in known if str(getattr(one, "_name", "")).startswith(PREFIX)]


def _take_out(collectors: Sequence[Collector]) -> None:
    for collector in collectors:
        REGISTRY.unregister(collector)
