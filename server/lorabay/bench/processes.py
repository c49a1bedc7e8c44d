"""Child processes: servers that run while a block lasts, and commands that run to their end.

Guarantees that leaving `running` leaves no process of the child's group behind, whatever ended the
block, Ctrl-C included. Knows nothing of HTTP or of what a server does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TAIL_LINES = 20
TAIL_CHARACTERS = 500

# The child reads its own peak, as its last act: what `wait4` reports would count this process, too,
# whose memory a child shares until it runs its own program.
MEASURED_CHILD = """
import runpy, sys
mark, module, sys.argv = sys.argv[1], sys.argv[2], sys.argv[2:]
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
finally:
    with open("/proc/self/status") as status:
        peak = next(line for line in status if line.startswith("VmHWM"))
    with open(mark, "w") as file:
        file.write(peak.split()[1])
"""


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A child that runs. `started` is a reading of time.perf_counter just before the spawn."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    started: float

    @property
    def group(self) -> int:
        """Id of the process group that the child leads; its own process id, too."""
        return self.process.pid

    def check_alive(self) -> None:
        """Raise SetupError with the end of the log if the child has exited."""
        code = self.process.poll()
        if code is not None:
            raise SetupError(
                f"{self.name} exited with code {code} at start; the end of its log:\n{self.tail()}"
            )

    def tail(self) -> str:
        """Return the last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:])


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds from a command's spawn to its exit, and the most memory that it held."""

    seconds: float
    peak_mib: float


@contextmanager
def running(
    name: str, command: Sequence[str], *, env: Mapping[str, str], log: Path, stop_timeout_s: float
) -> Iterator[ServerProcess]:
    """Run a server until the block ends, in a process group of its own.

    `env` is added to this process's environment. The server's output goes to the file `log`.
    """
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A group of its own: Ctrl-C on the terminal must not reach the server before us.
            start_new_session=True,
        )

    try:
        yield ServerProcess(name, process, log, started)
    finally:
        stop(process, stop_timeout_s)


def stop(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Send SIGTERM to a child, then SIGKILL to its group when the child is gone or time is up.

    The group is killed in every case: a child may leave workers behind.
    """
    try:
        # The child first: it ends its workers in order, if it can.
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout_s)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run_module(module: str, arguments: Sequence[str]) -> Cost:
    """Run `python -m module` to its end and return its cost.

    Raises SetupError with the end of its stderr if it fails. Needs Linux, which keeps the peak.
    """
    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as folder:
        mark = Path(folder) / "peak"
        command = [sys.executable, "-c", MEASURED_CHILD, str(mark), module, *arguments]

        begin = time.perf_counter()
        ended = subprocess.run(command, check=False, capture_output=True, text=True)
        seconds = time.perf_counter() - begin

        if ended.returncode or not mark.exists():
            last_words = ended.stderr[-TAIL_CHARACTERS:]
            raise SetupError(f"bench: {module} failed with code {ended.returncode}: {last_words}")
        return Cost(seconds, int(mark.read_text()) / 1024)
