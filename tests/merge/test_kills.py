"""`lorabay merge` is killed at random moments: there is no model or the right one, and the same
command finishes it.

`--merge-kills 20` kills more often.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.bench.synthetic_adapters import RandomAdapters
from lorabay.bench.synthetic_model import RandomLlama
from tests.merge.bases import all_tensors, contents

SIZE = 60_000_000
FILES = "4MB"
WEIGHTS = "*.safetensors"
MERGE = """
import os, sys
os.environ["OPENBLAS_NUM_THREADS"] = "1"
import lorabay.merge.run
from lorabay.cli import run
print("go", flush=True)
sys.exit(run(sys.argv[1:]))
"""


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A base of some 15 files' worth, an adapter for all of its layers, and what a merge in one go
    makes of them.
    """
    RandomLlama.about(SIZE).write(tmp_path / "base")
    RandomAdapters.about(BaseShapes.read(tmp_path / "base"), 16, 1 << 60).write(
        tmp_path / "adapter", seed=0
    )
    return tmp_path


def start(folders: Path, output: str) -> subprocess.Popen[str]:
    """The command in a process of its own that has imported what it needs."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    places = [
        str(folders / "adapter"),
        "--base",
        str(folders / "base"),
        "-o",
        str(folders / output),
    ]
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            MERGE,
            "merge",
            *places,
            "--max-shard-size",
            FILES,
            "--no-verify",
            "--json",
        ],
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "go\n"
    return process


def seconds(folders: Path, output: str) -> float:
    """How long one merge takes, to its report; that of another output warms the disk."""
    process, begun = start(folders, output), time.monotonic()
    assert process.stdout is not None
    process.stdout.readline()
    taken = time.monotonic() - begun
    finish(process)
    return taken


def finish(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=120)
    assert process.returncode == 0


def left_behind(output: Path) -> str:
    """What a kill left, in words."""
    if (output / "merge.json").exists():
        return "the whole model"
    if any(output.glob(WEIGHTS)):
        return "some files moved into place"
    if any((output / ".merging").glob(WEIGHTS)):
        return "some files finished"
    return "no file finished"


@pytest.mark.timeout(900)
def test_killed_at_random_moments(
    folders: Path, pytestconfig: pytest.Config, figures: list[str]
) -> None:
    """SIGKILL, anywhere between the first step and the report, also while a former run's work goes
    on.
    """
    usual = min(seconds(folders, "another"), seconds(folders, "whole"))
    whole, tensors = contents(folders / "whole"), all_tensors(folders / "whole")
    merged, found = folders / "merged", Counter[str]()
    kills, resumed, moments = pytestconfig.getoption("--merge-kills"), 0, random.Random(0)
    for _ in range(kills):
        process = start(folders, "merged")
        time.sleep(usual * moments.random())  # any moment is a good one; nothing is waited for
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found[left_behind(merged)] += 1
        if (merged / "config.json").exists():
            assert all_tensors(merged) == tensors
        elif moments.random() < 0.5:
            continue  # the next kill meets a run that goes on from this one
        finish_right(folders, whole)
        resumed += 1
    if merged.exists():
        finish_right(folders, whole)
        resumed += 1
    files = len(list((folders / "whole").glob(WEIGHTS)))
    figures.append(f"{kills} kills of a merge of {files} files, {usual:.1f} s:")
    figures += [f"  {count} left {text}" for text, count in sorted(found.items())]
    figures.append(
        f"  no folder was loadable and wrong; {resumed} runs to the end gave the bytes of one in "
        "one go"
    )


def finish_right(folders: Path, whole: dict[str, bytes]) -> None:
    """Run to the end where something is left to do, hold the folder against one made in one go, and
    remove it.
    """
    merged = folders / "merged"
    if not (merged / "merge.json").exists() or (merged / ".merging").exists():
        finish(start(folders, "merged"))
    assert contents(merged) == whole
    shutil.rmtree(merged)
