"""A command as a child process: seconds from spawn to exit, and the most memory that it held.

The child itself reads the high-water mark that Linux keeps for it, as its last act: what `wait4`
reports would count this process, too, whose memory a child shares until it runs its own program.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Sequence

_RUN = """
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
_TAIL = 500


@dataclass(frozen=True, slots=True)
class Use:
    """What a command took."""

    seconds: float
    peak_mib: float


def run_module(module: str, arguments: Sequence[str]) -> Use:
    """Run `python -m module` to its end. Raises SetupError with the end of what it said when it
    fails.
    """
    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as folder:
        mark = Path(folder) / "peak"
        command = [sys.executable, "-c", _RUN, str(mark), module, *arguments]
        begin = time.perf_counter()
        ended = subprocess.run(command, check=False, capture_output=True, text=True)
        seconds = time.perf_counter() - begin
        if ended.returncode or not mark.exists():
            raise SetupError(
                f"bench: {module} failed with code {ended.returncode}: {ended.stderr[-_TAIL:]}"
            )
        return Use(seconds, int(mark.read_text()) / 1024)
