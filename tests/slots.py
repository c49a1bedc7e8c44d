"""Slots for tests in which nobody has to wait for one."""

from __future__ import annotations

from lorabay.serving.slot_gate import SlotGate


def enough_slots() -> SlotGate:
    """Return a gate that lets everybody through."""
    return SlotGate(1000, timeout_s=1.0, drain_after_s=1.0)
