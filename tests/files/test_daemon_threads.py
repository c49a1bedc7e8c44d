"""Work that may never end holds up nobody, and not the end of the process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from lorabay.errors import SetupError
from lorabay.files import daemon_threads
from lorabay.files.daemon_threads import ASKED_AT_MOST, DaemonThreads, ask

LONG_S = 120.0
"""More than a busy machine takes for anything here."""


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """Set at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


async def test_work_has_a_result_or_an_error() -> None:
    """As of any executor; `prepare` runs first, in the same thread."""
    prepared: list[int] = []
    threads = DaemonThreads("test", lambda: prepared.append(threading.get_ident()))
    assert await threads.begin(threading.get_ident) == prepared[0]
    with pytest.raises(ZeroDivisionError):
        await threads.begin(lambda: 1 // 0)


async def test_a_thread_that_has_ended_its_work_takes_more() -> None:
    """Prepared once; one that works, or hangs, is given nothing."""
    prepared: list[int] = []
    threads = DaemonThreads("test", lambda: prepared.append(threading.get_ident()))
    for _ in range(5):
        await threads.begin(threading.get_ident)
        # The work is done a moment before its thread waits for more.
        while not threads._idle:
            await asyncio.sleep(0)
    assert len(prepared) == 1

    ends = threading.Event()
    hanging = threads.begin(ends.wait)
    assert await threads.begin(threading.get_ident) != prepared[0]
    ends.set()
    await hanging


async def test_threads_end_when_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a later piece of work has a new one."""
    monkeypatch.setattr(daemon_threads, "LINGER_S", 0.001)
    prepared: list[int] = []
    threads = DaemonThreads("ends soon", lambda: prepared.append(threading.get_ident()))
    for count in (1, 2):
        await threads.begin(threading.get_ident)
        while any(thread.name == "ends soon" for thread in threading.enumerate()):
            await asyncio.sleep(0.01)
        assert len(prepared) == count


async def test_no_work_is_lost_between_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """However a thread's end and new work meet."""
    monkeypatch.setattr(daemon_threads, "LINGER_S", 0.0)
    threads = DaemonThreads("test")
    for number in range(300):
        async with asyncio.timeout(LONG_S):
            assert await threads.begin(lambda number=number: number) == number
    assert threads.busy == 0


def test_a_process_ends_while_work_hangs() -> None:
    """Neither the interpreter nor the event loop's runner waits for the thread."""
    program = (
        "import asyncio, threading\n"
        "from lorabay.files.daemon_threads import DaemonThreads\n"
        "async def main():\n"
        "    DaemonThreads('test').begin(threading.Event().wait)\n"
        "    await asyncio.sleep(0.1)\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=LONG_S)


async def test_a_question_without_an_answer_is_given_up(
    never: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only so many wait: further ones are refused at once, until an answer comes."""
    monkeypatch.setattr(daemon_threads, "PATIENCE_S", LONG_S)
    assert await ask(len, "four") == 4

    monkeypatch.setattr(daemon_threads, "PATIENCE_S", 0.01)
    for _ in range(ASKED_AT_MOST):
        with pytest.raises(SetupError, match="does not answer"):
            await ask(never.wait)

    monkeypatch.setattr(daemon_threads, "PATIENCE_S", LONG_S)
    with pytest.raises(SetupError, match="does not answer"):
        await ask(len, "four")
    never.set()
    while daemon_threads._questions.busy:
        await asyncio.sleep(0.01)
    assert await ask(len, "four") == 4
