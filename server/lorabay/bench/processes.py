"""A server as a child process: started in a group of its own, watched, and always gone in the end.

Guarantees that leaving `running` leaves no process of the group behind, whatever ended the block,
Ctrl-C included. Knows nothing of HTTP or of what it runs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

TAIL_LINES = 20


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A started child. `started` is a reading of time.perf_counter just before the spawn."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    started: float

    @property
    def group(self) -> int:
        return self.process.pid

    def check_alive(self) -> None:
        """Raise SetupError with the end of its log if it has exited."""
        if (code := self.process.poll()) is not None:
            raise SetupError(
                f"{self.name} exited with code {code} at start; the end of its log:\n{self.tail()}"
            )

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:])


@contextmanager
def running(
    name: str, command: Sequence[str], *, env: Mapping[str, str], log: Path, stop_timeout_s: float
) -> Iterator[ServerProcess]:
    """The command with `env` added to this process's environment, its output in `log`, until the
    block ends.
    """
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield ServerProcess(name, process, log, started)
    finally:
        stop(process, stop_timeout_s)


def stop(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """SIGTERM to the child, SIGKILL to its group after the bound or once it is gone: a child may
    leave workers.
    """
    try:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout_s)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
