"""The gate in front of the engine as the settings want it, and its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.server.user_options import whole_number
from lorabay.serving.turns.shares import Shares, read_shares
from lorabay.serving.turns.turn_gate import Bounds, TurnGate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from lorabay.metrics import Metrics
    from lorabay.serving.engine import Engine
    from lorabay.settings import Settings


class TurnMetrics:
    """Records what becomes of requests at the gate."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def waited(self, seconds: float, *, for_slot: bool) -> None:
        """Record a wait, by what was waited for at first."""
        metrics = self._metrics
        (metrics.slot_wait_seconds if for_slot else metrics.queue_seconds).observe(seconds)

    def refused(self, reason: str) -> None:
        """Record a request that got no turn."""
        self._metrics.queue_refusals.labels(reason).inc()


def choose_shares(settings: Settings) -> Shares:
    """Return how tenants and adapters share the engine.

    Raises SetupError for a file that is wrong.
    """
    return Shares() if settings.shares is None else read_shares(settings.shares)


def make_gate(
    settings: Settings, options: Mapping[str, Any], engine: Engine, metrics: Metrics
) -> TurnGate:
    """Return the gate in front of `engine`, which has vLLM's `options`."""
    copies = whole_number(options, "data_parallel_size", default=1)
    gate = TurnGate(
        whole_number(options, "max_loras") * copies,
        Bounds(
            settings.queue_timeout_s,
            settings.max_running,
            settings.max_queued,
            settings.max_queued_per_tenant,
            settings.max_unread,
        ),
        drain_after_s=settings.slot_wait_s,
        computes=lambda: engine.max_sequences,
        reads=lambda: engine.reads_at_once,
        observer=TurnMetrics(metrics),
    )
    metrics.queue_waiting.set_function(lambda: gate.waiting)
    return gate
