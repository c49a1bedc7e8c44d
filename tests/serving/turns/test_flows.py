"""Costs of requests."""

from __future__ import annotations

from lorabay.serving.turns.flows import Priority, cost


def test_generated_tokens_cost_twice() -> None:
    """What the prefix cache had costs nothing."""
    assert cost(100, 50) == 200.0
    assert cost(100, 50, cached_tokens=80) == 120.0
    assert cost(10, 0, cached_tokens=16) == 0.0


def test_classes_are_in_order() -> None:
    """The highest is the least."""
    assert sorted(Priority) == [Priority.HIGH, Priority.NORMAL, Priority.LOW]
