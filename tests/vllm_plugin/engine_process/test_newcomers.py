"""Prompts of newcomers in vLLM's own scheduler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from vllm.v1.request import RequestStatus

from lorabay.serving.vllm import admission
from lorabay.vllm_plugin.engine_process.newcomers import (
    NEWCOMER,
    STEPS_BETWEEN,
    read_newcomers_first,
)
from lorabay.vllm_plugin.engine_process.prompt_slices import share_slices
from tests.vllm_plugin.engine_process.scheduling import (
    KINDS,
    SLICE,
    add,
    make_scheduler,
    of_kind,
    step,
)

Make = Callable[..., Any]
STREAMS = 8


@pytest.fixture(name="make", params=KINDS)
def make_fixture(request: pytest.FixtureRequest, tiny_base: Path) -> Make:
    """Return what makes a scheduler as the plugin leaves it, of either kind."""

    kind = of_kind(request.param)
    share_slices(kind)
    read_newcomers_first(kind)
    return lambda **options: make_scheduler(kind, tiny_base, **options)


def busy(make: Make, **options: Any) -> Any:
    """Return a scheduler with streams, and prompts that wait."""
    scheduler = make(**options)
    for number in range(STREAMS):
        add(scheduler, f"stream {number}", 2, tokens=200)
    step(scheduler)
    for number in range(5):
        add(scheduler, f"late {number}", 30)
    step(scheduler)
    return scheduler


def test_a_newcomer_is_read_in_a_step_of_its_own(make: Make) -> None:
    """Before the prompts that came earlier; then the streams go on as if nothing had been."""
    scheduler = busy(make)
    add(scheduler, "new", 20, priority=NEWCOMER)
    assert step(scheduler) == {"new": 20}
    after = step(scheduler)
    assert {name for name in after if name.startswith("stream")} == {
        f"stream {number}" for number in range(STREAMS)
    }
    assert after["new"] == 1


def test_alone_it_is_read_at_once(make: Make) -> None:
    """As any prompt."""
    scheduler = make()
    add(scheduler, "new", 100, priority=NEWCOMER)
    assert step(scheduler) == {"new": 100}


def test_a_long_prompt_takes_no_more_than_others_would_have_had(make: Make) -> None:
    """And the streams get all steps in between; there the newcomer has the slice for itself."""
    scheduler = busy(make)
    add(scheduler, "new", 96, priority=NEWCOMER)
    assert step(scheduler) == {"new": STREAMS + SLICE}
    for _ in range(STEPS_BETWEEN):
        tokens = step(scheduler)
        assert tokens["new"] == SLICE
        assert tokens["stream 0"] == 1
    assert step(scheduler) == {"new": STREAMS + SLICE}


def test_many_newcomers_hold_streams_up_in_one_step_of_four(make: Make) -> None:
    """However many come, one after the other."""
    scheduler = busy(make)
    seen: Counter[str] = Counter()
    for number in range(40):
        add(scheduler, f"new {number}", 5, priority=NEWCOMER, tokens=1)
        seen.update(step(scheduler).keys())
    assert seen["stream 0"] == 40 * STEPS_BETWEEN // (STEPS_BETWEEN + 1)
    assert all(seen[f"new {number}"] for number in range(40))


def test_a_newcomer_waits_for_a_place_in_the_batch(make: Make) -> None:
    """It is the next to get one."""
    scheduler = busy(make, max_num_seqs=STREAMS)
    add(scheduler, "new", 20, priority=NEWCOMER)
    assert "new" not in step(scheduler)
    scheduler.finish_requests("stream 3", RequestStatus.FINISHED_ABORTED)
    assert "new" in step(scheduler)


@pytest.mark.parametrize(
    "options", [{"long_prefill_token_threshold": 0}, {"policy": "priority"}], ids=str
)
def test_without_slices_and_with_vllms_priorities_nothing_changes(
    make: Make, options: dict[str, Any]
) -> None:
    """A newcomer is read beside the streams."""
    scheduler = busy(make, **options)
    add(scheduler, "new", 5, priority=NEWCOMER)
    tokens = step(scheduler)
    assert tokens["stream 0"] == 1


def test_every_request_ends(make: Make) -> None:
    """With newcomers all the time, and places that are short."""
    scheduler = make(max_num_seqs=4)
    for number in range(12):
        add(scheduler, f"some {number}", 40)
        add(scheduler, f"new {number}", 40, priority=NEWCOMER)
    for _ in range(1_000):
        step(scheduler)
    assert not scheduler.requests


def test_the_server_marks_newcomers_as_the_plugin_knows_them() -> None:
    """Neither imports the other."""
    assert admission.NEWCOMER == NEWCOMER
