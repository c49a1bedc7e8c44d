"""A training ends when it diverges, and when it no longer gets better; never for a bad step."""

from __future__ import annotations

import math

import pytest

from lorabay.training.loop.watch import Divergence, Improvement


def _first_reason(losses: list[float]) -> tuple[int, str] | None:
    watch = Divergence()
    for number, loss in enumerate(losses):
        reason = watch.after(loss)
        if reason:
            return number, reason
    return None


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_what_is_no_number_ends_it_at_once(loss: float) -> None:
    """In the first step and later."""
    assert _first_reason([loss]) == (0, f"the loss is {loss}")
    assert _first_reason([2.0] * 30 + [loss]) == (30, f"the loss is {loss}")


def test_a_loss_that_has_doubled_ends_it() -> None:
    """The mean of ten steps counts."""
    found = _first_reason([2.0] * 10 + [9.0] * 20)
    assert found is not None
    assert found[0] == 19
    assert "9.000, after 2.000 at first" in found[1]


def test_bad_steps_end_nothing() -> None:
    """One outlier, a slow climb below twice, and a fall are all fine."""
    assert _first_reason([2.0] * 20 + [19.0] + [2.0] * 20) is None
    assert _first_reason([2.0 + 0.01 * step for step in range(150)]) is None
    assert _first_reason([9.0 / (step + 1) for step in range(50)]) is None


def test_a_restored_watch_goes_on() -> None:
    """It ends in the step in which one that was never stopped would."""
    losses = [2.0] * 10 + [9.0] * 20
    first = Divergence()
    for loss in losses[:15]:
        first.after(loss)
    second = Divergence()
    second.restore(first.state())
    reasons = [second.after(loss) for loss in losses[15:]]
    assert [reason is not None for reason in reasons].index(True) == 4


def test_patience_counts_looks_in_vain() -> None:
    """A better one sets it back; an equal one is none."""
    watch = Improvement(patience=2)
    better = [watch.is_better(loss, step) for step, loss in enumerate([3.0, 2.0, 2.5, 1.5, 1.5])]
    assert better == [True, True, False, True, False]
    assert not watch.has_ended
    restored = Improvement(patience=2)
    restored.restore(watch.state())
    assert not restored.is_better(1.6, 5)
    assert restored.has_ended
    assert (restored.best, restored.best_step) == (1.5, 3)


def test_without_patience_nothing_ends() -> None:
    """The best is still known."""
    watch = Improvement(patience=None)
    for step in range(50):
        watch.is_better(1.0, step)
    assert not watch.has_ended
