"""A command's peak memory is its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.bench.peak_memory import run_module
from lorabay.errors import SetupError


def test_the_peak_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 MiB that a module held and let go of, and hardly more."""
    (tmp_path / "hungry.py").write_text(
        "import sys\nx = bytes(range(256)) * 4096 * int(sys.argv[1])\ndel x\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    little, much = run_module("hungry", ["1"]), run_module("hungry", ["100"])
    assert 90 < much.peak_mib - little.peak_mib < 120
    assert 0 < little.seconds < 30


def test_a_failure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what the module said."""
    (tmp_path / "broken.py").write_text("raise SystemExit('out of luck')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(SetupError, match="out of luck"):
        run_module("broken", [])
