"""The real helper process, with trials that need no library."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from lorabay.errors import EngineUnavailable
from lorabay.serving.grammar_helper import GrammarHelper
from lorabay.serving.grammar_trials import NICENESS
from lorabay.serving.grammars import GrammarLimits, Passed, Refused
from tests.processes import lives
from tests.serving import grammars_to_try

LIMITS = GrammarLimits(compile_s=0.3, token_s=0.01, memory_mib=64)
PATIENCE_S = 120.0
Result = TypeVar("Result")


class Bench:
    """A helper process and the real event loop that it is asked from."""

    def __init__(self, limits: GrammarLimits = LIMITS) -> None:
        self.runner = asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)
        self.helper = GrammarHelper(grammars_to_try.prepare, limits)

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(work)

    def verdict(self, grammar: str) -> Passed | Refused:
        return self.run(self.helper.compile(grammar.encode()))

    def reason(self, grammar: str) -> str:
        verdict = self.verdict(grammar)
        assert isinstance(verdict, Refused)
        return verdict.reason

    @property
    def process(self) -> psutil.Process:
        assert self.helper.pid is not None
        return psutil.Process(self.helper.pid)

    def close(self) -> None:
        self.run(self.helper.stop())
        self.runner.close()


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


@pytest.fixture(autouse=True)
def nothing_goes_on(bench: Bench) -> Iterator[None]:
    """Whatever a test did, no trial goes on, and the next grammar passes."""
    yield
    assert bench.verdict("pass") == Passed("fake")
    assert bench.process.children() == []


async def appears(path: Path) -> int:
    """Return the process that a trial noted, as soon as it has."""
    async with asyncio.timeout(PATIENCE_S):
        while not path.exists():
            await asyncio.sleep(0.01)
    return int(path.read_text())


def wait_for_end(pid: int) -> None:
    """Return when a process is gone."""
    deadline = time.monotonic() + PATIENCE_S
    while lives(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_verdict_comes_back(bench: Bench) -> None:
    """What passes names its backend; what does not has a reason of bounded length."""
    assert bench.verdict("pass") == Passed("fake")
    assert bench.reason("refuse") == ("because " * 1000)[:300]


def test_one_process_serves_many_grammars(bench: Bench) -> None:
    """It is started once, whatever became of the grammars before."""
    pid = bench.helper.pid
    for grammar in ("pass", "crash", "spin", "pass", "fail"):
        bench.verdict(grammar)
    assert bench.helper.pid == pid


def test_a_grammar_that_takes_too_long_is_refused(bench: Bench) -> None:
    """The reason names the limit and its setting."""
    assert "more than 0.3 s of CPU time" in bench.reason("spin")
    assert "grammar_compile_s" in bench.reason("spin")


def test_a_grammar_that_takes_too_much_memory_is_refused(bench: Bench) -> None:
    """The reason names the limit and its setting."""
    reason = bench.reason("grow")
    assert "64 MiB" in reason
    assert "grammar_memory_mib" in reason


@pytest.mark.parametrize(
    ("grammar", "reason"),
    [
        ("fail", "line 3: no such rule"),
        ("panic", "index out of bounds"),
        ("recurse", "nested too deeply"),
        ("crash", "ends its compiler (SIGSEGV)"),
        ("leave", "ends its compiler (exit code 3)"),
        ("unknown", "unknown"),
    ],
)
def test_whatever_a_trial_raises_or_dies_of_refuses_its_grammar(
    bench: Bench, grammar: str, reason: str
) -> None:
    """An exception, a panic and a crash are the grammar's fault, in one line."""
    said = bench.reason(grammar)
    assert reason in said
    assert "\n" not in said


def test_what_a_compiler_prints_goes_nowhere(bench: Bench) -> None:
    """Nothing that a trial prints reaches the log, or is taken for an answer."""
    assert bench.verdict("shout") == Passed("quiet")


def test_trials_step_aside(bench: Bench) -> None:
    """A trial has two threads, one of them with the small stack, of low priority."""
    nice = min(os.nice(0) + NICENESS, 19)
    assert bench.reason("threads") == f"2 threads, nice {nice}"


def test_a_trial_that_is_killed_refuses_its_grammar(bench: Bench, tmp_path: Path) -> None:
    """When memory is short the kernel kills the trial, not the helper process."""

    async def kill() -> Passed | Refused:
        task = asyncio.create_task(bench.helper.compile(f"sleep at {tmp_path}/pid".encode()))
        os.kill(await appears(tmp_path / "pid"), signal.SIGKILL)
        return await task

    verdict = bench.run(kill())
    assert isinstance(verdict, Refused)
    assert "SIGKILL" in verdict.reason


def test_a_trial_ends_when_its_client_leaves(bench: Bench, tmp_path: Path) -> None:
    """Cancelling the call ends the process of the trial; the next one is not confused."""

    async def leave() -> int:
        task = asyncio.create_task(bench.helper.compile(f"spin at {tmp_path}/pid".encode()))
        pid = await appears(tmp_path / "pid")
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        return pid

    wait_for_end(bench.run(leave()))


def test_a_helper_that_is_killed_is_started_again(bench: Bench, tmp_path: Path) -> None:
    """The request in between is told to come back, and its trial does not outlive the process."""

    async def kill() -> int:
        task = asyncio.create_task(bench.helper.compile(f"sleep at {tmp_path}/pid".encode()))
        pid = await appears(tmp_path / "pid")
        bench.process.kill()
        with pytest.raises(EngineUnavailable) as caught:
            await task
        assert caught.value.retry_after
        return pid

    before = bench.verdict("pass") and bench.helper.pid
    wait_for_end(bench.run(kill()))
    assert bench.verdict("pass") == Passed("fake")
    assert bench.helper.pid != before


def test_a_start_survives_who_asked_for_it() -> None:
    """A client that leaves during the start does not cost the next one another start."""
    bench = Bench()

    async def leave() -> int | None:
        task = asyncio.create_task(bench.helper.compile(b"pass"))
        while bench.helper.pid is None:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        return bench.helper.pid

    pid = bench.run(leave())
    assert bench.verdict("pass") == Passed("fake")
    assert bench.helper.pid == pid
    bench.close()


def test_a_trial_that_gets_no_cpu_time_is_no_verdict() -> None:
    """On a machine that is too busy a grammar is neither right nor wrong."""
    # So long that a slow machine has put the trial to sleep before it is over.
    bench = Bench(GrammarLimits(compile_s=0.1))
    with pytest.raises(EngineUnavailable, match="too busy"):
        bench.verdict("sleep")
    bench.close()


def test_a_helper_that_cannot_start_refuses_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Grammars get 503, the log says what is missing, and no start follows at once."""
    bench = Bench()
    bench.helper = GrammarHelper(grammars_to_try.prepare_badly, LIMITS)
    for _ in range(2):
        with pytest.raises(EngineUnavailable, match="did not start"):
            bench.verdict("pass")
    bench.close()
    assert capfd.readouterr().err.count("ImportError: no such library") == 1


def test_a_machine_without_processes_to_spare_refuses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bug: that was a server error, and each further grammar tried to start one more."""
    tries = 0

    async def refuse(*arguments: object, **options: object) -> None:
        nonlocal tries
        tries += 1
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
    bench = Bench()
    for _ in range(2):
        with pytest.raises(EngineUnavailable, match="did not start"):
            bench.verdict("pass")
    assert tries == 1
    bench.close()


def test_a_stopped_helper_stays_stopped() -> None:
    """Nothing is started for who asks after the end, and stopping twice is fine."""
    bench = Bench()
    bench.verdict("pass")
    pid = bench.helper.pid
    bench.run(bench.helper.stop())
    with pytest.raises(EngineUnavailable):
        bench.verdict("pass")
    assert pid is not None
    wait_for_end(pid)
    bench.close()


SERVER = """
import asyncio, sys
from lorabay.serving.grammar_helper import GrammarHelper
from lorabay.serving.grammars import GrammarLimits
from tests.serving import grammars_to_try

async def main():
    helper = GrammarHelper(grammars_to_try.prepare, GrammarLimits(compile_s=60))
    await helper.compile(b"pass")
    print(helper.pid, flush=True)
    await helper.compile(b"sleep at " + sys.argv[1].encode())

asyncio.run(main())
"""


def test_nothing_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    """The helper process and its trial end with the server, whatever they do."""
    note = tmp_path / "pid"
    path = os.pathsep.join(filter(None, sys.path))
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(note)],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        helper = int(server.stdout.readline())
        trial = asyncio.run(appears(note))
        server.kill()
    wait_for_end(trial)
    wait_for_end(helper)


def test_signals_to_the_whole_group_do_not_end_it(bench: Bench) -> None:
    """While a server drains after Ctrl-C or SIGTERM, its requests' grammars are still compiled."""
    bench.verdict("pass")
    pid = bench.helper.pid
    for number in (signal.SIGINT, signal.SIGTERM):
        bench.process.send_signal(number)
    assert bench.verdict("pass") == Passed("fake")
    assert bench.helper.pid == pid
