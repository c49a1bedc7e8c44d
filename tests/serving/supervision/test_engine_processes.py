"""The processes of an engine: real children of this process, stopped, killed and gone."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import psutil
import pytest

from lorabay.serving.supervision.engine_processes import EngineProcesses

PATIENCE_S = 120.0

spawn = multiprocessing.get_context("spawn")


def be_an_engine(pipe: Connection) -> None:
    """Start a worker, tell its pid, and live until killed."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"]) as worker:
        pipe.send(worker.pid)
        worker.wait()


@pytest.fixture
def engine() -> Iterator[tuple[BaseProcess, int]]:
    """A process named as vLLM names it, and the pid of its worker."""
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=be_an_engine, args=(theirs,), name="EngineCore")
    process.start()
    assert ours.poll(PATIENCE_S)
    yield process, ours.recv()
    EngineProcesses.find().kill()
    process.join(PATIENCE_S)


def end_of(process: psutil.Process) -> None:
    """Return when a process has ended; without an init it stays in the table as a zombie."""
    with suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)


def stop(pid: int) -> None:
    """Stop a process; returns when the system says that it is stopped."""
    os.kill(pid, signal.SIGSTOP)
    while psutil.Process(pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.01)


@pytest.mark.parametrize("which", ["engine", "worker"])
def test_a_stopped_process_is_seen_and_killed(engine: tuple[BaseProcess, int], which: str) -> None:
    """Whether it is the engine itself or a worker of it, also when it cannot answer a signal."""
    process, pid = engine
    worker = psutil.Process(pid)
    processes = EngineProcesses.find()
    assert not processes.any_stopped()

    stop(pid if which == "worker" else process.pid or 0)
    assert processes.any_stopped()

    processes.kill()
    process.join(PATIENCE_S)
    assert process.exitcode == -signal.SIGKILL
    end_of(worker)


def test_what_is_gone_already_is_left(engine: tuple[BaseProcess, int]) -> None:
    """Killing twice is harmless, and a process that ended is not stopped."""
    process, _ = engine
    processes = EngineProcesses.find()
    processes.kill()
    process.join(PATIENCE_S)
    processes.kill()
    assert not processes.any_stopped()
    assert EngineProcesses.find()._processes == ()


def test_each_engine_has_its_own(engine: tuple[BaseProcess, int]) -> None:
    """Of two engines in one server, a kill ends the one that is meant."""
    process, worker = engine
    pid = process.pid or 0
    assert EngineProcesses.find(among=[pid]).pids == {pid, worker}
    assert EngineProcesses.find(among=[]).pids == frozenset()
    assert EngineProcesses.find(but=[pid]).pids == frozenset()


def test_other_children_are_not_the_engines() -> None:
    """A helper of the server by another name is not counted, and survives."""
    ours, theirs = spawn.Pipe()
    helper = spawn.Process(target=be_an_engine, args=(theirs,), name="helper")
    helper.start()
    try:
        assert ours.poll(PATIENCE_S)
        worker = psutil.Process(ours.recv())
        EngineProcesses.find().kill()
        assert helper.is_alive()
        worker.kill()
    finally:
        helper.kill()
        helper.join(PATIENCE_S)
