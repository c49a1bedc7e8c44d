"""Scenario `merge`: folding a rank-16 adapter into a random llama, against `cp` with fsync and
against PEFT.

Every side starts as a new process, reads from the page cache and writes to the same disk, which is
quiet when it begins. Ours and `cp` end when all is on disk. PEFT does not wait for that and ends
when its process ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.base.shapes import BaseShapes
from lorabay.bench.alternation import Comparison, Turn, alternate, figures, median_of, ratios
from lorabay.bench.processes import Cost, run_module
from lorabay.bench.progress import announced
from lorabay.bench.report import Fact, Findings
from lorabay.bench.resources import MIB
from lorabay.bench.synthetic_adapters import EVERY_MODULE, RandomAdapters
from lorabay.bench.synthetic_model import RandomLlama
from lorabay.errors import UsageError
from lorabay.files import durable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lorabay.bench.progress import Progress
    from lorabay.bench.settings import BenchSettings

ROUNDS = 3
RANK = 16
OURS, COPY, PEFT = "lorabay", "cp", "PEFT"
COPY_BAR, PEFT_TIME_BAR, PEFT_MEMORY_BAR, GROWTH_BAR = 2.5, 0.5, 0.35, 1.1
SMALLEST, LARGEST = 0.25, 2.0
"""Sizes between which memory must stay flat, as parts of the model's."""


def merge(settings: BenchSettings, progress: Progress) -> Findings:
    """Compare merges of a model and an adapter that are made in the temporary folder.

    They need room for about five times the model's size. Raises UsageError with a URL.
    """
    if settings.url is not None:
        raise UsageError("bench: scenario 'merge' works on models of its own; leave out --url")
    rounds = settings.rounds or ROUNDS
    size = int(settings.size_gb * 1e9)
    progress.plan(3 * rounds + 5)

    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as folder:
        progress.step("writing a random model")
        setup = MergeSetup.make(Path(folder), size)
        sides = {
            COPY: announced(progress, COPY, setup.copy),
            OURS: announced(progress, OURS, setup.ours),
            PEFT: announced(progress, PEFT, setup.peft),
        }
        turns = alternate(sides, rounds)

    # Sizes four times smaller and twice as large: a merge that holds the model would show here.
    small = _peak_mib(settings.size_gb * SMALLEST, progress)
    large = _peak_mib(settings.size_gb * LARGEST, progress)
    facts = (
        Fact("size of the model", size / MIB, "MiB"),
        *_medians(turns),
        Fact(f"peak memory, {OURS}, model of {SMALLEST:g} times the size", small, "MiB"),
        Fact(f"peak memory, {OURS}, model of {LARGEST:g} times the size", large, "MiB"),
        Fact("memory as the model grows between them", large / small, "x", GROWTH_BAR),
    )
    return Findings(comparisons=_comparisons(turns), facts=facts)


@dataclass(frozen=True, slots=True)
class MergeSetup:
    """A model with an adapter for it, and the folder that the sides write."""

    base: Path
    adapter: Path
    output: Path

    @classmethod
    def make(cls, root: Path, size_bytes: int) -> MergeSetup:
        """Write model and adapter below `root`."""
        setup = cls(root / "base", root / "adapter", root / "merged")
        RandomLlama.about(size_bytes).write(setup.base)
        kind = RandomAdapters.about(BaseShapes.read(setup.base), RANK, EVERY_MODULE)
        kind.write(setup.adapter, seed=0)
        return setup

    def ours(self) -> Cost:
        """Run `lorabay merge`, without its verification."""
        flags = ["--base", str(self.base), "-o", str(self.output), "--no-verify", "--json"]
        with self._prepared():
            return run_module("lorabay", ["merge", str(self.adapter), *flags])

    def peft(self) -> Cost:
        """Run PEFT's merge."""
        places = [str(self.base), str(self.adapter), str(self.output)]
        with self._prepared():
            return run_module("lorabay.bench.scenarios.peft_merge", places)

    def copy(self) -> Cost:
        """Run `cp` of the same files, then fsync of each; its memory is not measured."""
        with self._prepared():
            begin = time.perf_counter()
            subprocess.run(["cp", "-r", str(self.base), str(self.output)], check=True)  # noqa: S607
            for path in self.output.iterdir():
                durable.sync(path)
            return Cost(time.perf_counter() - begin, 0.0)

    @contextmanager
    def _prepared(self) -> Iterator[None]:
        """Make the start equal for every side, and remove the output afterwards."""
        shutil.rmtree(self.output, ignore_errors=True)
        # No side waits for what an earlier one left to write, nor for the disk to read.
        os.sync()
        for path in self.base.iterdir():
            _read_into_page_cache(path)

        try:
            yield
        finally:
            shutil.rmtree(self.output, ignore_errors=True)


def _peak_mib(size_gb: float, progress: Progress) -> float:
    """Return the peak memory of our merge of a model of this size."""
    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as folder:
        progress.step(f"writing a random model of {size_gb:g} GB")
        setup = MergeSetup.make(Path(folder), int(size_gb * 1e9))
        progress.step(f"{OURS}, {size_gb:g} GB")
        return setup.ours().peak_mib


def _comparisons(turns: Sequence[Turn[Cost]]) -> tuple[Comparison, ...]:
    seconds = figures(turns, lambda cost: cost.seconds)
    memory = figures(turns, lambda cost: cost.peak_mib)

    def ceiling(
        figure: str, values: Sequence[Turn[float]], reference: str, bar: float
    ) -> Comparison:
        name = f"{figure}, {OURS} / {reference}"
        return Comparison(name, ratios(values, OURS, reference), "x", bar, at_least=False)

    return (
        ceiling("wall time", seconds, COPY, COPY_BAR),
        ceiling("wall time", seconds, PEFT, PEFT_TIME_BAR),
        ceiling("peak memory", memory, PEFT, PEFT_MEMORY_BAR),
    )


def _medians(turns: Sequence[Turn[Cost]]) -> Iterator[Fact]:
    seconds = figures(turns, lambda cost: cost.seconds)
    for side in (COPY, OURS, PEFT):
        yield Fact(f"wall time, {side}, median", median_of(seconds, side), "s")

    memory = figures(turns, lambda cost: cost.peak_mib)
    for side in (OURS, PEFT):
        yield Fact(f"peak memory, {side}, median", median_of(memory, side), "MiB")


def _read_into_page_cache(path: Path) -> None:
    with path.open("rb") as file:
        while file.read(MIB):
            pass
