"""Who holds slots and who drains, with times that are told."""

from __future__ import annotations

import pytest

from lorabay.catalog.versions import Digest
from lorabay.serving.turns.flows import Priority
from lorabay.serving.turns.slot_rota import Line, SlotRota

A, B, C, D = Digest("a"), Digest("b"), Digest("c"), Digest("d")
HIGH, NORMAL, LOW = Priority


def rota(*holders: Digest, slots: int = 1, priority: Priority = NORMAL) -> SlotRota:
    """Return a rota whose slots are held."""
    made = SlotRota(slots, drain_after_s=10.0)
    for weights in holders:
        made.look([Line(weights, priority, 0.0)], 0.0)
        made.begin(weights, priority)
    return made


def test_the_base_needs_no_slot() -> None:
    """Whoever holds them; and its requests tell how long one takes."""
    held = rota(A)
    assert held.may_run(None)
    held.begin(None, NORMAL)
    held.end(None, 0.0)
    assert held.usual_s == pytest.approx(8.0)


def test_a_free_slot_is_for_whoever_has_waited_longest() -> None:
    """Of the highest priority that waits."""
    free = rota()
    free.look([Line(A, NORMAL, 2.0), Line(B, NORMAL, 1.0)], 3.0)
    assert (free.may_run(A), free.may_run(B)) == (False, True)
    free.look([Line(A, HIGH, 2.0), Line(B, NORMAL, 1.0)], 3.0)
    assert (free.may_run(A), free.may_run(B)) == (True, False)


def test_a_holder_drains_when_somebody_has_waited_too_long() -> None:
    """The one that has held its slot longest; not before, and no more of them than wait."""
    held = rota(A, B, slots=2)
    assert held.look([Line(C, NORMAL, 1.0)], 6.0) == pytest.approx(5.0)
    assert held.may_run(A)
    assert held.look([Line(C, NORMAL, 1.0)], 11.0) is None
    assert (held.may_run(A), held.may_run(B)) == (False, True)
    held.look([Line(C, NORMAL, 1.0)], 12.0)
    assert held.may_run(B)


def test_a_holder_goes_on_when_nobody_waits_any_more() -> None:
    """The one that waited has given up."""
    held = rota(A)
    held.look([Line(B, NORMAL, 0.0)], 20.0)
    assert not held.may_run(A)
    held.look([], 21.0)
    assert held.may_run(A)


def test_a_slot_goes_over_when_the_last_request_has_ended() -> None:
    """Then the holder itself waits like others."""
    held = rota(A)
    held.begin(A, NORMAL)
    lines = [Line(B, NORMAL, 0.0), Line(A, NORMAL, 5.0)]
    held.look(lines, 20.0)
    held.end(A, 10.0)
    held.look(lines, 21.0)
    assert not held.may_run(B)
    held.end(A, 10.0)
    held.look(lines, 22.0)
    assert (held.may_run(A), held.may_run(B)) == (False, True)


def test_slots_that_come_are_taken() -> None:
    """By whoever waits."""
    held = rota(A)
    held.slots = 2
    held.look([Line(B, NORMAL, 0.0)], 1.0)
    assert held.may_run(B)


def test_slots_that_go_take_none_from_a_holder() -> None:
    """And nobody gets one before enough holders have ended."""
    held = rota(A, B, slots=2)
    held.slots = 1
    lines = [Line(C, NORMAL, 0.0), Line(D, NORMAL, 0.0)]
    assert held.look(lines, 1.0) is not None
    assert [held.may_run(weights) for weights in (A, B, C, D)] == [True, True, False, False]
    held.end(A, 1.0)
    held.look(lines, 2.0)
    assert [held.may_run(weights) for weights in (B, C, D)] == [True, False, False]


def test_more_holders_drain_than_wait_where_slots_have_gone() -> None:
    """One for the slot that is gone, and one for the adapter that waits."""
    held = rota(A, B, C, slots=3)
    held.slots = 2
    held.look([Line(D, NORMAL, 0.0)], 20.0)
    assert [held.may_run(weights) for weights in (A, B, C)] == [False, False, True]
    held.end(A, 1.0)
    held.look([Line(D, NORMAL, 0.0)], 21.0)
    assert [held.may_run(weights) for weights in (B, C, D)] == [False, True, False]
    held.end(B, 1.0)
    held.look([Line(D, NORMAL, 0.0)], 22.0)
    assert [held.may_run(weights) for weights in (C, D)] == [True, True]


def test_nobody_drains_for_a_lower_class() -> None:
    """A higher one, or the same, makes a holder drain."""
    for holder, waits, drains in ((HIGH, NORMAL, False), (LOW, NORMAL, True), (LOW, LOW, True)):
        held = rota(A, priority=holder)
        held.look([Line(B, waits, 0.0)], 20.0)
        assert held.may_run(A) is not drains
