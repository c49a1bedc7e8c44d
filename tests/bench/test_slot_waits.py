"""Waits for a slot in simulated time."""

from __future__ import annotations

from lorabay.bench.slot_waits import LONGEST_WAIT_S, REQUEST_S, VllmRule, our_gate, worst_wait


def test_by_vllms_rule_a_cold_adapter_never_gets_a_slot() -> None:
    """As long as the others do not rest."""
    assert worst_wait(VllmRule()) == LONGEST_WAIT_S / REQUEST_S


def test_by_our_gate_it_waits_two_requests_at_most() -> None:
    """Whenever it comes; some of its requests do wait."""
    assert 1.0 < worst_wait(our_gate()) <= 2.0
