"""`lorabay merge` is killed at random moments; the same command finishes the model.

There is no model or the right one at any time. `--merge-kills 20` kills more often.
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
    """Make a base of some 15 files and an adapter for all of its layers."""
    RandomLlama.about(SIZE).write(tmp_path / "base")
    RandomAdapters.about(BaseShapes.read(tmp_path / "base"), 16, 1 << 60).write(
        tmp_path / "adapter", seed=0
    )
    return tmp_path


def start(folders: Path, output: str) -> subprocess.Popen[str]:
    """Start the command in a process that has imported everything that it needs."""
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
    """Return the seconds of one merge up to its report; a first one warms the disk."""
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
    """Return in words what a kill left."""
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
    """SIGKILL may come at any moment, also in a run that goes on from an earlier one."""
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
    """Finish the merge, compare it with one that was not interrupted, and remove it."""
    merged = folders / "merged"
    if not (merged / "merge.json").exists() or (merged / ".merging" / "published.json").exists():
        finish(start(folders, "merged"))
    # Nothing but this was left to do when the last file was in its place.
    shutil.rmtree(merged / ".merging", ignore_errors=True)
    assert contents(merged) == whole
    shutil.rmtree(merged)
