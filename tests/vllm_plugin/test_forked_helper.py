"""A process that is forked to do one thing, and what becomes of it."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from lorabay.vllm_plugin.forked_helper import ForkedHelper
from lorabay.vllm_plugin.kernel.row_kernel import is_available

PATIENCE_S = 60.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")


def code_of(work: Callable[[], object], niceness: int = 0) -> int:
    """How a helper ends that does the work."""
    helper = ForkedHelper.start(lambda: work() and None, niceness=niceness)
    deadline = time.monotonic() + PATIENCE_S
    while (code := helper.ended()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert helper.ended() == code
    return code


def test_work_is_done_elsewhere_at_a_low_priority(tmp_path: Path) -> None:
    """With what this process had in memory, and without a change of it here."""
    facts = {"seen": "here"}

    def work() -> None:
        facts["seen"] = "there"
        (tmp_path / "done").write_text(f"{os.getpid()} {os.nice(0)} {facts['seen']}")

    before = os.nice(0)
    assert code_of(work, niceness=3) == 0
    pid, niceness, seen = (tmp_path / "done").read_text().split()
    assert int(pid) != os.getpid()
    assert int(niceness) == min(19, before + 3)
    assert (seen, facts["seen"]) == ("there", "here")
    assert os.nice(0) == before


def test_a_failure_is_an_exit_code() -> None:
    """This process goes on."""

    def work() -> None:
        raise ValueError("no compiler")

    assert code_of(work) == 1


def test_nobody_waits_for_a_pipe_that_only_the_helper_holds() -> None:
    """What the parent has open is closed in the helper: the end of the parent can be seen."""
    reader, writer = os.pipe()
    helper = ForkedHelper.start(lambda: time.sleep(PATIENCE_S), niceness=0)
    os.close(writer)
    ready, _, _ = select.select([reader], [], [], PATIENCE_S)
    assert ready
    assert os.read(reader, 1) == b""
    os.close(reader)
    assert helper.ended() is None
    helper.kill()
    assert helper.ended() == -9
    helper.kill()


SCRIPT = """
import sys, time
from lorabay.vllm_plugin.forked_helper import ForkedHelper
helper = ForkedHelper.start(lambda: time.sleep(600), niceness=0)
print(helper.pid, flush=True)
sys.stdin.read()
"""


def test_a_helper_ends_with_its_parent() -> None:
    """However the parent ends."""
    parent = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    for process in filter(None, [_process(pid)]):
        process.wait(PATIENCE_S)


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


@pytest.mark.skipif(not is_available(), reason="torch has another OpenMP runtime here")
def test_torch_computes_in_a_helper_although_its_threads_are_elsewhere() -> None:
    """A fork has none of the threads that torch began: it must not wait for them."""
    import torch

    def multiply() -> float:
        return float((torch.ones(512, 512) @ torch.ones(512, 512)).sum())

    expected = multiply()

    def work() -> None:
        assert multiply() == expected

    assert code_of(work) == 0
