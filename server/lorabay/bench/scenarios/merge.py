"""Scenario `merge`: folding a rank-16 adapter into a random llama, against `cp` with fsync and
against PEFT.

Every side starts as a new process, reads from the page cache and writes to the same disk, which is
quiet when it begins. Ours and `cp` end when all is on disk; PEFT, which does not wait for that,
when it ends.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.base.shapes import BaseShapes
from lorabay.bench.alternation import Comparison, Turn, alternate, ratios
from lorabay.bench.peak_memory import Use, run_module
from lorabay.bench.report import Fact, Findings
from lorabay.bench.resources import MIB
from lorabay.bench.synthetic_adapters import RandomAdapters
from lorabay.bench.synthetic_model import RandomLlama
from lorabay.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lorabay.bench.progress import Progress
    from lorabay.bench.settings import BenchSettings

ROUNDS = 3
RANK = 16
OURS, COPY, PEFT = "lorabay", "cp", "PEFT"
COPY_BAR, PEFT_TIME_BAR, PEFT_MEMORY_BAR, GROWTH_BAR = 2.5, 0.5, 0.35, 1.1
SMALLEST, LARGEST = 0.25, 2.0
"""Sizes between which memory must stay flat, as parts of the model's."""


@dataclass(frozen=True, slots=True)
class Case:
    """A model with an adapter for it, and where the sides write."""

    base: Path
    adapter: Path
    output: Path

    @classmethod
    def make(cls, root: Path, size_bytes: int) -> Case:
        """Write model and adapter below `root`."""
        case = cls(root / "base", root / "adapter", root / "merged")
        RandomLlama.about(size_bytes).write(case.base)
        everything = RandomAdapters.about(BaseShapes.read(case.base), RANK, 1 << 60)
        everything.write(case.adapter, seed=0)
        return case

    def ours(self) -> Use:
        """`lorabay merge`, not verified."""
        flags = ["--base", str(self.base), "-o", str(self.output), "--no-verify", "--json"]
        return self._clean(lambda: run_module("lorabay", ["merge", str(self.adapter), *flags]))

    def peft(self) -> Use:
        places = [str(path) for path in (self.base, self.adapter, self.output)]
        return self._clean(lambda: run_module("lorabay.bench.scenarios.peft_merge", places))

    def copy(self) -> Use:
        """`cp` of the same files, then fsync of each."""
        return self._clean(self._copy)

    def _copy(self) -> Use:
        begin = time.perf_counter()
        subprocess.run(["cp", "-r", str(self.base), str(self.output)], check=True)  # noqa: S607
        for path in self.output.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        return Use(time.perf_counter() - begin, 0.0)

    def _clean(self, run: Callable[[], Use]) -> Use:
        shutil.rmtree(self.output, ignore_errors=True)
        os.sync()
        for path in self.base.iterdir():
            _read(path)
        try:
            return run()
        finally:
            shutil.rmtree(self.output, ignore_errors=True)


def merge(settings: BenchSettings, progress: Progress) -> Findings:
    """Makes models and adapter in the temporary folder, which needs room for about five times the
    size.
    """
    if settings.url is not None:
        raise UsageError("bench: scenario 'merge' works on models of its own; leave out --url")
    rounds, size = settings.rounds or ROUNDS, int(settings.size_gb * 1e9)
    progress.plan(3 * rounds + 5)
    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as folder:
        progress.step("writing a random model")
        case = Case.make(Path(folder), size)
        turns = alternate(
            {
                name: _watched(progress, name, take)
                for name, take in ((COPY, case.copy), (OURS, case.ours), (PEFT, case.peft))
            },
            rounds,
        )
    peaks = [_peak(settings.size_gb * part, progress) for part in (SMALLEST, LARGEST)]
    return Findings(comparisons=_comparisons(turns), facts=_facts(turns, peaks, size))


def _watched(progress: Progress, name: str, take: Callable[[], Use]) -> Callable[[int], Use]:
    def watched(number: int) -> Use:
        progress.step(f"{name}, round {number + 1}")
        return take()

    return watched


def _peak(size_gb: float, progress: Progress) -> float:
    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as folder:
        progress.step(f"writing a random model of {size_gb:g} GB")
        case = Case.make(Path(folder), int(size_gb * 1e9))
        progress.step(f"{OURS}, {size_gb:g} GB")
        return case.ours().peak_mib


def _comparisons(turns: Sequence[Turn[Use]]) -> tuple[Comparison, ...]:
    seconds = [Turn(turn.side, turn.round, turn.seconds, turn.value.seconds) for turn in turns]
    memory = [Turn(turn.side, turn.round, turn.seconds, turn.value.peak_mib) for turn in turns]
    return (
        Comparison(
            f"wall time, {OURS} / {COPY}",
            ratios(seconds, OURS, COPY),
            "x",
            COPY_BAR,
            at_least=False,
        ),
        Comparison(
            f"wall time, {OURS} / {PEFT}",
            ratios(seconds, OURS, PEFT),
            "x",
            PEFT_TIME_BAR,
            at_least=False,
        ),
        Comparison(
            f"peak memory, {OURS} / {PEFT}",
            ratios(memory, OURS, PEFT),
            "x",
            PEFT_MEMORY_BAR,
            at_least=False,
        ),
    )


def _facts(turns: Sequence[Turn[Use]], peaks: Sequence[float], size: int) -> tuple[Fact, ...]:
    def median(side: str, value: Callable[[Use], float]) -> float:
        return statistics.median(value(turn.value) for turn in turns if turn.side == side)

    small, large = peaks
    return (
        Fact("size of the model", size / MIB, "MiB"),
        *(
            Fact(f"wall time, {side}, median", median(side, lambda use: use.seconds), "s")
            for side in (COPY, OURS, PEFT)
        ),
        *(
            Fact(f"peak memory, {side}, median", median(side, lambda use: use.peak_mib), "MiB")
            for side in (OURS, PEFT)
        ),
        Fact(f"peak memory, {OURS}, model of {SMALLEST:g} times the size", small, "MiB"),
        Fact(f"peak memory, {OURS}, model of {LARGEST:g} times the size", large, "MiB"),
        Fact("memory as the model grows between them", large / small, "x", GROWTH_BAR),
    )


def _read(path: Path) -> None:
    """Into the page cache, so that no side pays for it."""
    with path.open("rb") as file:
        while file.read(MIB):
            pass
