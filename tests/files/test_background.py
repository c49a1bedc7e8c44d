"""A thread that writes in the background."""

from __future__ import annotations

import errno
import threading

from structlog.testing import capture_logs

from lorabay.files.background import BackgroundWriter

WAIT_S = 30.0


class Disk:
    """Takes what waits, unless it is told to fail; `pause` counts the attempts that failed."""

    def __init__(self) -> None:
        self.waiting: list[str] = []
        self.written: list[str] = []
        self.error: Exception | None = None
        self.pauses = 0
        self.may_go_on = threading.Event()
        self.has_failed = threading.Event()

    def write(self) -> None:
        if self.error is not None:
            raise self.error
        self.written += self.waiting
        self.waiting.clear()

    def pause(self) -> None:
        self.pauses += 1
        self.has_failed.set()
        self.may_go_on.wait(WAIT_S)


def test_everything_that_was_asked_for_is_written() -> None:
    """In order, and `flush` returns when it is done."""
    disk = Disk()
    writer = BackgroundWriter("notes", disk.write)
    assert writer.flush(0)
    for word in ("one", "two", "three"):
        disk.waiting.append(word)
        writer.wake()
    assert writer.flush(WAIT_S)
    assert disk.written == ["one", "two", "three"]


def test_a_write_that_failed_is_made_again() -> None:
    """Without being asked again; the log says it once, and once that it is over."""
    disk = Disk()
    disk.error = OSError(errno.ENOSPC, "No space left on device")
    writer = BackgroundWriter("notes", disk.write, pause=disk.pause)
    disk.waiting.append("one")
    with capture_logs() as logged:
        writer.wake()
        assert disk.has_failed.wait(WAIT_S)
        assert not writer.flush(0)
        disk.error = None
        disk.may_go_on.set()
        assert writer.flush(WAIT_S)
    assert disk.written == ["one"]
    assert [line["event"] for line in logged] == [
        "notes not written yet",
        "notes written after all",
    ]
    assert logged[0]["reason"] == "No space left on device"


def test_a_disk_that_hangs_holds_up_nobody() -> None:
    """Whoever asks for a write goes on at once, and a flush ends when its time is over."""
    may_end = threading.Event()
    writer = BackgroundWriter("notes", lambda: may_end.wait(WAIT_S) and None)
    writer.wake()
    writer.wake()
    assert not writer.flush(0.01)
    may_end.set()
    assert writer.flush(WAIT_S)


def test_a_bug_in_one_write_does_not_end_the_thread() -> None:
    """It is logged, and the next write is made."""
    disk = Disk()
    disk.error = TypeError("a bug")
    writer = BackgroundWriter("notes", disk.write)
    with capture_logs() as logged:
        writer.wake()
        assert writer.flush(WAIT_S)
    assert [line["event"] for line in logged] == ["bug"]

    disk.error = None
    disk.waiting.append("one")
    writer.wake()
    assert writer.flush(WAIT_S)
    assert disk.written == ["one"]
