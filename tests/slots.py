"""Turns for tests in which nobody has to wait for one, or for a slot alone."""

from __future__ import annotations

from lorabay.serving.turns.turn_gate import Bounds, TurnGate


def enough_slots() -> TurnGate:
    """Return a gate that lets everybody through."""
    return few_slots(1000, timeout_s=1.0, drain_after_s=1.0)


def few_slots(slots: int, *, timeout_s: float, drain_after_s: float) -> TurnGate:
    """Return a gate that lets any number of requests through, for so many adapters."""
    return TurnGate(slots, Bounds(timeout_s), drain_after_s=drain_after_s)
