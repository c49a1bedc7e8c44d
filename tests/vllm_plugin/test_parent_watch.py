"""An engine process does not outlive its server."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

from lorabay.vllm_plugin.parent_watch import exit_with_parent

spawn = multiprocessing.get_context("spawn")


def child(report: Connection) -> None:
    exit_with_parent()
    exit_with_parent()
    report.send(os.getpid())
    time.sleep(60)


def server(report: Connection) -> None:
    process = spawn.Process(target=child, args=(report,))
    process.start()
    process.join()


def test_the_child_of_a_killed_process_exits() -> None:
    """After SIGKILL of its parent a child is gone within seconds, though its work would take a
    minute.
    """
    ours, theirs = spawn.Pipe(duplex=False)
    parent = spawn.Process(target=server, args=(theirs,))
    parent.start()
    theirs.close()
    assert ours.poll(30)
    pid = ours.recv()
    os.kill(parent.pid or 0, signal.SIGKILL)
    parent.join()
    deadline = time.monotonic() + 15
    while _alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] not in ("Z", "X")


def test_a_process_without_a_parent_of_its_kind_is_left_alone() -> None:
    """In the server itself nothing is watched and nothing exits."""
    exit_with_parent()
