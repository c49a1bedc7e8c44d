"""`lorabay judge serve` as a process of its own, as its judges meet it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType


class Running:
    """The server of a folder on a free port, or on the one that is given; it has a link a judge."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        command = [sys.executable, "-m", "lorabay", "judge", "serve", str(folder)]
        self._process = subprocess.Popen(
            [*command, "--port", str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []

    def __enter__(self) -> Running:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith("Ctrl+C"):
                return self
        raise AssertionError("\n".join(self.lines))

    @property
    def links(self) -> dict[str, str]:
        """The link of each judge."""
        return {
            line.partition(" (")[0]: line.partition("): ")[2]
            for line in self.lines
            if "): http" in line
        }

    @property
    def port(self) -> int:
        """The port that it listens on."""
        link = next(iter(self.links.values()))
        return int(link.partition("/#")[0].rpartition(":")[2])

    def stop(self) -> int:
        """Press Ctrl+C, and return the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self._process.wait()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
