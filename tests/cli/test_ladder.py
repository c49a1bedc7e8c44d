"""`lorabay ladder` as a command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lorabay.cli import run


def arguments(adapter: Path, base: Path, out: Path, target: str) -> list[str]:
    return ["ladder", str(adapter), "--base", str(base), "-o", str(out), "--target", target]


def test_a_target_that_is_not_measured_is_2(
    adapter_dir: Path, tiny_base: Path, tmp_path: Path, the_error: Callable[[], str]
) -> None:
    """Before anything is trained."""
    out = tmp_path / "out"
    assert run(arguments(adapter_dir, tiny_base, out, "joy>=3")) == 2
    assert "'joy' is not measured" in the_error()
    assert not out.exists()


def test_it_stops_at_the_first_rung_that_holds(
    adapter_dir: Path, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 and the rungs as JSON; a target that nothing reaches is 1, and says so."""
    out = tmp_path / "out"
    assert run([*arguments(adapter_dir, tiny_base, out, "loss<=100"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["reached"] == "recipe"
    assert [rung["name"] for rung in report["rungs"]] == ["recipe"]

    assert run(arguments(adapter_dir, tiny_base, out, "loss<=0")) == 1
    assert "no rung reaches loss<=0" in capsys.readouterr().out
    assert (out / "full" / "config.json").is_file()
