"""Child processes that are always gone in the end, and the cost of a command.

A FIFO that a whole group holds open ends when the last process of the group is gone.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from lorabay.bench.processes import run_module, running
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TextIO

# Ignores SIGTERM, starts a worker that does too, and writes its pid once both are up.
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
fifo = os.open(sys.argv[1], os.O_WRONLY)
if os.fork():
    os.write(fifo, b"%d\\n" % os.getpid())
while True:
    time.sleep(60)
"""
# Writes a last word when asked to stop, leaving a worker behind that ignores SIGTERM.
GRACEFUL = """
import os, signal, sys, time
fifo = os.open(sys.argv[1], os.O_WRONLY)
if not os.fork():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(fifo, b"up\\n")
    while True:
        time.sleep(60)
def stop(*_):
    os.write(fifo, b"stopping\\n")
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
os.write(fifo, b"up\\n")
while True:
    time.sleep(60)
"""


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """A pipe to which a child writes what it does, and which it holds open while it lives."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def test_a_group_that_ignores_sigterm_is_killed(tmp_path: Path, fifo: Path) -> None:
    """After the bound nothing of the group is left: the FIFO ends only when all of its writers are
    gone.
    """
    command = [sys.executable, "-c", STUBBORN, str(fifo)]
    with running("stubborn", command, env={}, log=tmp_path / "log", stop_timeout_s=0.1) as server:
        report = fifo.open()
        assert int(report.readline()) == server.process.pid
    with report:
        assert report.read() == ""
    assert server.process.returncode == -signal.SIGKILL


def test_a_server_may_end_in_its_own_way(tmp_path: Path, fifo: Path) -> None:
    """SIGTERM comes first, the child's own ending counts, and a worker that it leaves behind goes
    too.
    """
    command = [sys.executable, "-c", GRACEFUL, str(fifo)]
    with running("graceful", command, env={}, log=tmp_path / "log", stop_timeout_s=30) as server:
        report = fifo.open()
        assert [report.readline(), report.readline()] == ["up\n", "up\n"]
    with report:
        assert report.read() == "stopping\n"
    assert server.process.returncode == 0


def interrupted_while_running(fifo: Path, log: Path) -> TextIO:
    """The FIFO after a Ctrl-C inside the block."""
    report = None
    try:
        with running(
            "stubborn",
            [sys.executable, "-c", STUBBORN, str(fifo)],
            env={},
            log=log,
            stop_timeout_s=0.1,
        ):
            report = fifo.open()
            report.readline()
            signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        assert report is not None
        return report
    raise AssertionError("the interrupt did not reach the caller")


def test_an_interrupt_leaves_no_child(tmp_path: Path, fifo: Path) -> None:
    """Ctrl-C inside the block ends the whole group and goes on to the caller."""
    with interrupted_while_running(fifo, tmp_path / "log") as report:
        assert report.read() == ""


def test_a_dead_server_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    """The message names the server, its exit code and its last lines, not its first."""
    script = (
        "import sys; print('\\n'.join(f'line {n}' for n in range(100))); sys.exit('no such base')"
    )
    command = [sys.executable, "-c", script]
    with running("vllm", command, env={}, log=tmp_path / "log", stop_timeout_s=1) as server:
        server.process.wait()
        with pytest.raises(SetupError) as error:
            server.check_alive()
    message = error.value.message

    assert "vllm exited with code 1" in message
    assert message.endswith("no such base")
    assert "line 99" in message
    assert "line 10\n" not in message


def test_the_environment_is_added_to_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child sees our variables and the given ones, the given winning; its output is in the
    log.
    """
    monkeypatch.setenv("KEPT", "ours")
    monkeypatch.setenv("CHANGED", "ours")
    command = [sys.executable, "-c", "import os; print(os.environ['KEPT'], os.environ['CHANGED'])"]
    log = tmp_path / "log"
    with running("child", command, env={"CHANGED": "given"}, log=log, stop_timeout_s=30) as server:
        server.process.wait()
    assert log.read_text() == "ours given\n"


def test_the_peak_is_that_of_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The peak counts 100 MiB that a module held and released, and hardly more."""
    (tmp_path / "hungry.py").write_text(
        "import sys\nx = bytes(range(256)) * 4096 * int(sys.argv[1])\ndel x\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    little, much = run_module("hungry", ["1"]), run_module("hungry", ["100"])
    assert 90 < much.peak_mib - little.peak_mib < 120
    assert little.seconds > 0


def test_a_command_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error holds the last words of the module."""
    (tmp_path / "broken.py").write_text("raise SystemExit('out of luck')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(SetupError, match="out of luck"):
        run_module("broken", [])
