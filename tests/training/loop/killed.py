"""A training that is killed at random moments, and started again until it ends.

    python -m tests.training.loop.killed ADAPTER BASE OUTPUT KILLS SEED

Writes how many runs were killed. Each run is a fork of this process, which has imported everything
and computed nothing: a run then costs its training and not the import of torch.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from lorabay.training.train import train_folder


def _start(adapter: Path, base: Path, output: Path) -> int:
    """Start a run and return its process."""
    child = os.fork()
    if not child:
        torch.set_num_threads(1)
        train_folder(adapter, base, output=output)
        os._exit(0)
    return child


def main(adapter: Path, base: Path, output: Path, kills: int, seed: int) -> int:
    """Return how many runs were killed before they ended."""
    begin = time.monotonic()
    os.waitpid(_start(adapter, base, output.with_name("unbroken")), 0)
    length = time.monotonic() - begin

    moments, killed = random.Random(seed), 0
    for kill in range(kills):
        child = _start(adapter, base, output)
        while not (output / "training" / "checkpoint.pt").exists():
            time.sleep(0.002)
        # The moment itself is what is tried here; the first is at once, so that one is certain.
        time.sleep(length * moments.uniform(0, 0.3) if kill else 0)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status)
        if not os.WIFSIGNALED(status):
            break

    _, status = os.waitpid(_start(adapter, base, output), 0)
    if status:
        raise SystemExit("the last run failed")
    return killed


if __name__ == "__main__":
    folders = [Path(argument) for argument in sys.argv[1:4]]
    sys.stdout.write(f"{main(*folders, int(sys.argv[4]), int(sys.argv[5]))}\n")
