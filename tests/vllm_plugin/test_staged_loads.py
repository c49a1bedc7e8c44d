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
    assert not is_done(7)


def test_a_failure_is_taken_once() -> None:
    """Whoever asks after that begins anew."""

    def fail() -> None:
        raise OSError("the disk is away")

    start(7, fail)
    with pytest.raises(OSError, match="the disk is away"):
        result_of(7)
    start(7, lambda: "well again")
    assert result_of(7) == "well again"


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


def test_the_staging_thread_stays_on_the_cores_of_its_process() -> None:
    """Not on the one core that its creator is bound to, nor on any that no thread here may use."""
    all_cores = os.sched_getaffinity(0)
    bound = min(all_cores)
    seen: list[set[int]] = []

    def step_aside_on_one_core() -> None:
        os.sched_setaffinity(0, {bound})
        staged_loads._step_aside()
        seen.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=step_aside_on_one_core)
    thread.start()
    thread.join()
    assert seen == [all_cores]


def test_cores_of_another_process_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was started on two cores of a large machine loads on these two."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda thread: {4, 5})
    assert staged_loads.cores_of_process() == {4, 5}


def test_other_work_takes_its_turn_in_the_staging_thread() -> None:
    """And whoever asked for it gets its result."""
    assert staged_loads.beside(threading.get_native_id).result(60) != threading.get_native_id()
