"""One thread, one piece of work at a time, in order."""

from __future__ import annotations

import threading

import pytest

from lorabay.accounts.database.writer import Writer

PATIENCE_S = 60.0


def test_work_is_done_in_order_by_one_thread() -> None:
    """And `close` waits for all of it."""
    writer, done, threads = Writer("writer"), [], set()

    def work(number: int) -> None:
        done.append(number)
        threads.add(threading.current_thread().name)

    for number in range(100):
        writer.submit(lambda number=number: work(number))
    assert writer.close(PATIENCE_S)
    assert done == list(range(100))
    assert threads == {"writer"}


def test_a_failure_is_that_of_its_work_alone() -> None:
    """The thread goes on with what comes next."""
    writer = Writer("writer")

    def fail() -> None:
        raise ValueError("no")

    failed, next_one = writer.submit(fail), writer.submit(lambda: 7)
    with pytest.raises(ValueError, match="no"):
        failed.result(PATIENCE_S)
    assert next_one.result(PATIENCE_S) == 7
    assert writer.close(PATIENCE_S)


def test_what_was_given_up_before_it_began_is_not_done() -> None:
    """It waits behind other work while it is cancelled."""
    writer, gate, done = Writer("writer"), threading.Event(), []
    writer.submit(lambda: gate.wait(PATIENCE_S))
    waiting = writer.submit(lambda: done.append(1))
    assert waiting.cancel()
    gate.set()
    assert writer.close(PATIENCE_S)
    assert done == []


def test_nobody_waits_for_ever_for_work_that_hangs() -> None:
    """`close` gives up and says so, and takes no more work."""
    writer, gate = Writer("writer"), threading.Event()
    writer.submit(lambda: gate.wait(PATIENCE_S))
    assert not writer.close(0.01)
    with pytest.raises(RuntimeError):
        writer.submit(lambda: None)
    gate.set()
    assert writer.close(PATIENCE_S)


def test_a_writer_without_work_has_no_thread() -> None:
    """It is closed at once."""
    before = threading.active_count()
    writer = Writer("writer")
    assert threading.active_count() == before
    assert writer.close(0.0)
