"""The machine and the versions of a report."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from lorabay.bench.machine import this_machine, versions

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_this_machine_is_described() -> None:
    """Processor, cores, memory and system are all there."""
    machine = this_machine()
    assert machine.cpu
    assert machine.system
    assert machine.cores >= 1
    assert machine.memory_gib > 0.1


def test_accelerators_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each name that nvidia-smi prints is one accelerator; a failing tool means none."""
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert this_machine().accelerators == ()
    tool.write_text("#!/bin/sh\necho 'NVIDIA H200'\necho 'NVIDIA L4'\n")
    tool.chmod(0o755)
    assert this_machine().accelerators == ("NVIDIA H200", "NVIDIA L4")
    tool.write_text("#!/bin/sh\necho broken\nexit 9\n")
    assert this_machine().accelerators == ()


def test_versions_name_what_ran() -> None:
    """Python's version is the running one; the engine's keys are there whether or not it is
    installed.
    """
    installed = versions()
    assert installed["python"] == platform.python_version()
    assert {"lorabay", "vllm", "torch"} < set(installed)
