"""The memory of a GPU of this machine, as its driver tells it."""

from __future__ import annotations

import shutil
import subprocess

PROGRAM = "nvidia-smi"
TIMEOUT_S = 20
_MIB = 1 << 20


def gpu_bytes(program: str = PROGRAM) -> int | None:
    """Return the memory of the smallest GPU; None where there is none, or its driver is silent."""
    found = shutil.which(program)
    if found is None:
        return None

    command = [found, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return None

    sizes = [int(line) for line in done.stdout.split() if line.isdecimal()]
    return min(sizes) * _MIB if sizes else None
