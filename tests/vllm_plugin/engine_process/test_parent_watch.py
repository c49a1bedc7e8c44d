"""An engine process does not outlive its server."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection

from lorabay.vllm_plugin.engine_process.parent_watch import exit_with_parent
from tests.processes import lives

PATIENCE_S = 120.0
spawn = multiprocessing.get_context("spawn")


def child(report: Connection) -> None:
    exit_with_parent()
    exit_with_parent()
    report.send(os.getpid())
    time.sleep(3600)


def server(report: Connection) -> None:
    process = spawn.Process(target=child, args=(report,))
    process.start()
    process.join()


def test_the_child_of_a_killed_process_exits() -> None:
    """After SIGKILL of its parent a child is gone soon, though its work would take an hour."""
    ours, theirs = spawn.Pipe(duplex=False)
    parent = spawn.Process(target=server, args=(theirs,))
    parent.start()
    theirs.close()
    assert ours.poll(PATIENCE_S)
    pid = ours.recv()
    os.kill(parent.pid or 0, signal.SIGKILL)
    parent.join()
    deadline = time.monotonic() + PATIENCE_S
    while lives(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_process_without_a_parent_of_its_kind_is_left_alone() -> None:
    """In the server itself nothing is watched and nothing exits."""
    exit_with_parent()
