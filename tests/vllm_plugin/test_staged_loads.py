"""Loads in the staging thread: run beside the caller, kept for a while, taken once."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from lorabay.vllm_plugin import staged_loads
from lorabay.vllm_plugin.staged_loads import KEPT, NICENESS, is_done, start, take


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    staged_loads.forget_all()


def result_of(engine_id: int) -> object:
    load = take(engine_id)
    assert load is not None
    return load.result(10)


def test_a_second_start_changes_nothing() -> None:
    """Two requests for one adapter share one load."""
    start(7, lambda: "first")
    start(7, lambda: "second")
    assert result_of(7) == "first"
    assert take(7) is None
    assert is_done(7)


def test_what_nobody_takes_is_forgotten() -> None:
    """The oldest finished loads go before they fill the memory; one that runs is kept."""
    finished = range(1, KEPT + 1)
    for number in finished:
        start(number, lambda: None)
    start(0, lambda: None)
    result_of(0)  # one thread does them in order: all before it have ended

    may_end = threading.Event()
    slow = range(100, 103)
    for number in slow:
        start(number, lambda: may_end.wait(10))

    assert [number for number in finished if take(number) is None] == [1, 2, 3]
    assert not is_done(100)
    may_end.set()
    assert [result_of(number) for number in slow] == [True, True, True]


def test_the_staging_thread_steps_aside() -> None:
    """It has a low priority of its own; the thread that computes tokens keeps its own."""

    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = priority()
    start(7, priority)
    assert result_of(7) == min(before + NICENESS, 19)
    assert priority() == before
