"""The gate in front of the engine as the settings want it, and its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.server.user_options import all_slots
from lorabay.serving.turns.shares import Shares, read_shares
from lorabay.serving.turns.turn_gate import Bounds, TurnGate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from lorabay.metrics import Metrics
    from lorabay.serving.engine import Engine, StepTokens
    from lorabay.settings import Settings

PACE_FROM = 32
"""Sequences from which on tenants with shares keep pace, where prompts are read in slices, as on a
CPU: a step of so many takes more than twice as long as one of a single one.
"""


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


def gate_of(
    settings: Settings, metrics: Metrics, engine: Callable[[], Engine | None], *, slots: int = 1
) -> TurnGate:
    """Return a gate with these `slots` for adapters, in front of what `engine` returns.

    That is None until it is made. A whole model's engine has its one weights in its one slot.
    """

    def computes() -> int | None:
        made = engine()
        return None if made is None else made.max_sequences

    def reads() -> StepTokens | None:
        made = engine()
        return None if made is None else made.reads_at_once

    def slots_now() -> int | None:
        made = engine()
        room = None if made is None else made.adapter_room
        return None if room is None else room.slots

    def pace_from() -> int | None:
        if settings.pace_from is not None or settings.shares is None:
            return settings.pace_from
        at_once = reads()
        in_slices = at_once is not None and at_once.beside < at_once.alone
        return PACE_FROM if in_slices else None

    return TurnGate(
        slots,
        Bounds(
            settings.queue_timeout_s,
            settings.max_running,
            settings.max_queued,
            settings.max_queued_per_tenant,
            settings.max_unread,
        ),
        drain_after_s=settings.slot_wait_s,
        computes=computes,
        reads=reads,
        slots_now=slots_now,
        pace_from=pace_from,
        observer=TurnMetrics(metrics),
    )


def make_gate(
    settings: Settings,
    options: Mapping[str, Any],
    engine: Engine,
    metrics: Metrics,
    others: Callable[[], int] = lambda: 0,
) -> TurnGate:
    """Return the gate in front of `engine`, which has vLLM's `options`.

    `others` returns the requests that wait in front of other engines, which are shown, too.
    """
    slots = all_slots(options) * max(1, settings.ray_replicas)
    gate = gate_of(settings, metrics, lambda: engine, slots=slots)
    engine.when_resized(gate.look_again)
    metrics.queue_waiting.set_function(lambda: gate.waiting + others())
    return gate
