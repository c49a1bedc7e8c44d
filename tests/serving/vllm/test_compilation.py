"""Following a base that is compiled beside its answers, from the server's side."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from structlog.testing import capture_logs

from lorabay.serving.engine import Compiled
from lorabay.serving.vllm.compilation import (
    ASK_ANYWAY_S,
    Answer,
    CompilationWatch,
    is_running,
)
from tests.virtual_time import VirtualTimeLoop

HELPER = 77


class Worker:
    """vLLM's workers: each question gets the next answer, the last one for ever."""

    def __init__(self, *answers: Sequence[Answer], helper_s: float = 0.0) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.helper_s = helper_s

    async def ask(self) -> Sequence[Answer]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return answer


def followed(worker: Worker) -> tuple[CompilationWatch, list[str], float]:
    """A compilation that was followed to its end, what the log said, and how long it took."""
    loop = VirtualTimeLoop()
    watch = CompilationWatch(
        worker.ask, runs=lambda pid: loop.time() < worker.helper_s, clock=loop.time
    )
    with capture_logs() as logs:
        loop.run_until_complete(watch.run())
    took = loop.time()
    loop.close()
    return watch, [str(entry["event"]) for entry in logs], took


COMPILING: Answer = ("compiling", HELPER, "")
LOADING: Answer = ("loading", None, "")
DONE: Answer = ("done", None, "")


def test_code_that_was_there_is_nothing_to_tell() -> None:
    """One question, no line in the log."""
    watch, log, took = followed(Worker([DONE]))
    assert (watch.compiled, log, took) == (Compiled.YES, [], 0)


def test_a_compilation_is_told_and_followed_to_its_end() -> None:
    """The worker is left alone while the helper runs: it would spin for a second each time."""
    worker = Worker([COMPILING], [LOADING], [LOADING], [DONE], helper_s=50)
    watch, log, took = followed(worker)
    assert watch.compiled is Compiled.YES
    assert worker.asked == 4
    assert 50 <= took < 53
    assert len(log) == 2
    assert "uncompiled for now" in log[0]
    assert log[1] == "the base is compiled"


def test_a_failure_leaves_the_base_uncompiled() -> None:
    """The log says why, once."""
    worker = Worker([COMPILING], [("failed", None, "the compiling process ended with code 1")])
    watch, log, _ = followed(worker)
    assert watch.compiled is Compiled.NO
    assert log[1:] == ["the base stays uncompiled, and slower"]


def test_every_worker_has_to_be_done() -> None:
    """One that goes on compiling keeps the base from counting as compiled; one failure decides."""
    watch, _, _ = followed(Worker([COMPILING, DONE], [DONE, DONE]))
    assert watch.compiled is Compiled.YES
    watch, _, _ = followed(Worker([COMPILING, COMPILING], [DONE, ("failed", None, "why")]))
    assert watch.compiled is Compiled.NO


def test_a_helper_that_cannot_be_seen_is_asked_about_now_and_then() -> None:
    """A process that seems to run for ever is another one by now, or on another machine."""
    worker = Worker([COMPILING], [COMPILING], [DONE], helper_s=1e9)
    watch, _, took = followed(worker)
    assert watch.compiled is Compiled.YES
    assert 2 * ASK_ANYWAY_S <= took < 2 * ASK_ANYWAY_S + 5


def test_a_process_that_nobody_has_asked_for_its_end_runs_no_more() -> None:
    """A zombie counts as ended: only its parent can take it away."""
    assert is_running(os.getpid())
    child = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert is_running(child.pid)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.close()
    child.stdout.read()  # to its end: the process is about to be a zombie
    child.stdout.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_running(child.pid)
    child.wait()
    assert not is_running(child.pid)
