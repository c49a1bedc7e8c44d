"""The memory of a GPU, as a driver's program tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.advising.devices import gpu_bytes


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("printf '81559\\n'", 81559 << 20),
        ("printf '81559\\n24564\\n'", 24564 << 20),
        ("echo No devices were found", None),
        ("echo '[N/A]'; exit 6", None),
    ],
)
def test_the_smallest_gpu_counts(tmp_path: Path, told: str, expected: int | None) -> None:
    """A plan must hold on each; a driver that finds none is as if there were none."""
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{told}\n")
    program.chmod(0o755)
    assert gpu_bytes(str(program)) == expected


def test_a_machine_without_a_driver_has_no_gpu(tmp_path: Path) -> None:
    """The host's memory counts there."""
    assert gpu_bytes(str(tmp_path / "nvidia-smi")) is None
