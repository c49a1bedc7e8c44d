"""vLLM's Prometheus logger, with one series put right.

`vllm:lora_requests_info` names the adapters of running and of waiting requests in two labels. vLLM
puts every adapter that has a request into both, and adds a series for every set of names that ever
ran together, so that a server with many adapters fills its memory and its page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vllm.v1.metrics.loggers import PrometheusStatLogger

if TYPE_CHECKING:
    from vllm.v1.metrics.stats import SchedulerStats


class StatLogger(PrometheusStatLogger):  # type: ignore[misc] # vLLM has no types
    """vLLM's logger, whose series of adapters holds those that have such a request now."""

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
