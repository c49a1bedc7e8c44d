"""A search whose process is killed comes to the table of one that was not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

SPACE = """
[search]
rank = [1, 2, 4, 8]
alpha_per_rank = [1, 2]
target_modules = [["v_proj", "q_proj"], ["v_proj", "q_proj", "down_proj"]]
learning_rate = [1e-3, 5e-2]
trials = {trials}
finalists = 3
seeds = 3
dev = 0.25
"""
PATIENCE_S = 240


def _start(folder: Path, base: Path, out: Path) -> subprocess.Popen[str]:
    baseline = out.with_name(f"{out.name}-adapters") / "baseline.toml"
    baseline.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "lorabay", "search", str(folder), "--base", str(base)]
    return subprocess.Popen(
        [*command, "-o", str(out), "--baseline", str(baseline), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )


def _end(running: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 0, err[-2000:]
    found: dict[str, Any] = json.loads(out)
    return found


def _wait_for(running: subprocess.Popen[str], beginning: str) -> None:
    """Wait until the process tells a line that begins so."""
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith(beginning):
            return
    raise AssertionError(f"no line begins with {beginning!r}")


@pytest.mark.timeout(900)
def test_a_killed_process_goes_on(
    adapter_dir: Path, tiny_base: Path, tmp_path: Path, figures: list[str]
) -> None:
    """SIGKILL among the trials, and again in the final; then the same trials, final and
    baseline.
    """
    trials = 4
    recipe = adapter_dir / "recipe.toml"
    text = recipe.read_text(encoding="utf-8").replace("epochs = 10", "epochs = 2")
    recipe.write_text(text + SPACE.format(trials=trials), encoding="utf-8")

    begin = time.monotonic()
    whole = _end(_start(adapter_dir, tiny_base, tmp_path / "whole"))
    seconds = time.monotonic() - begin

    for line in (f"trial {trials // 2}:", "recipe, seed 5"):
        running = _start(adapter_dir, tiny_base, tmp_path / "killed")
        _wait_for(running, line)
        running.kill()
        running.communicate()
    killed = _end(_start(adapter_dir, tiny_base, tmp_path / "killed"))

    assert killed["trials"] == whole["trials"]
    assert killed["final"] == whole["final"]
    baselines = [
        (tmp_path / f"{name}-adapters" / "baseline.toml").read_bytes()
        for name in ("whole", "killed")
    ]
    assert baselines[0] == baselines[1]
    pruned = sum(trial["state"] == "pruned" for trial in whole["trials"])
    figures.append(f"search: {trials} trials, {pruned} pruned, and a final in {seconds:.0f} s")
