"""vLLM's own scheduler, as the plugin leaves it in the engine's process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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


@pytest.fixture(name="make", params=KINDS)
def make_fixture(request: pytest.FixtureRequest, tiny_base: Path) -> Make:
    """Return what makes a scheduler of either kind, with slices that all prompts share."""

    kind = of_kind(request.param)
    share_slices(kind)
    return lambda **options: make_scheduler(kind, tiny_base, **options)


def test_all_prompts_together_take_one_slice_beside_a_stream(make: Make) -> None:
    """However many there are, and in whatever order they came; each stream gets its token."""
    scheduler = make()
    add(scheduler, "early", 100)
    add(scheduler, "stream", 5)
    step(scheduler)
    for number in range(5):
        add(scheduler, f"late {number}", 100)

    steps = [step(scheduler) for _ in range(10)]
    assert all(tokens["stream"] == 1 for tokens in steps)
    assert {sum(tokens.values()) for tokens in steps} == {SLICE + 1, SLICE + 2}
    read = sum(tokens.get("early", 0) for tokens in steps)
    assert read >= 100 - SLICE


def test_prompts_are_read_as_fast_as_ever_where_nobody_streams(make: Make) -> None:
    """One alone at once, several in slices of their own, as vLLM does it."""
    scheduler = make()
    add(scheduler, "one", 100)
    assert step(scheduler) == {"one": 100}

    scheduler = make()
    add(scheduler, "one", 100)
    add(scheduler, "other", 100)
    assert step(scheduler) == {"one": SLICE, "other": SLICE}


def test_without_slices_a_prompt_is_read_at_once(make: Make) -> None:
    """As vLLM does it, beside a stream too."""
    scheduler = make(long_prefill_token_threshold=0)
    add(scheduler, "stream", 5)
    step(scheduler)
    add(scheduler, "long", 200)
    assert step(scheduler) == {"stream": 1, "long": 200}


def test_an_image_that_must_be_read_whole_is_not_held_back(make: Make) -> None:
    """It may need more than a slice, and would wait for ever."""
    scheduler = make(disable_chunked_mm_input=True)
    add(scheduler, "stream", 5)
    step(scheduler)
    for number in range(3):
        add(scheduler, f"long {number}", 100)
    assert sum(step(scheduler).values()) == 1 + 3 * SLICE


def test_every_prompt_is_read_to_its_end(make: Make) -> None:
    """Beside streams that come and go."""
    scheduler = make()
    for number in range(6):
        add(scheduler, f"stream {number}", 3)
        add(scheduler, f"long {number}", 150)
    for _ in range(400):
        step(scheduler)
    assert not scheduler.requests
