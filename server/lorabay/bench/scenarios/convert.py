"""Scenario `convert`: AdaLoRA and VeRA adapters of a random llama into plain LoRA, against reading
the model once.

The model is read from the disk, not from the page cache; a conversion reads its headers only,
starts as a new process and ends when all is on disk. VeRA has PEFT's default rank, so that its
factors become many times its own size.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lorabay.base.files import BaseFiles
from lorabay.base.shapes import BaseShapes
from lorabay.bench.alternation import Comparison, alternate, ratios
from lorabay.bench.peak_memory import run_module
from lorabay.bench.report import Fact, Findings
from lorabay.bench.resources import MIB
from lorabay.bench.synthetic_adapters import TARGETS
from lorabay.bench.synthetic_model import RandomLlama
from lorabay.errors import UsageError
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from lorabay.files.tensors import safetensors_header
from lorabay.formats.tensor_names import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lorabay.bench.progress import Progress
    from lorabay.bench.settings import BenchSettings

ROUNDS = 3
ADALORA_RANK, VERA_RANK = 16, 256
READ, BAR = "reading the model", 2.0


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    dtype: str = "F32"


def convert(settings: BenchSettings, progress: Progress) -> Findings:
    """Makes model and adapters in the temporary folder, which needs room for about twice the
    size.
    """
    if settings.url is not None:
        raise UsageError("bench: scenario 'convert' works on a model of its own; leave out --url")
    rounds = settings.rounds or ROUNDS
    progress.plan(3 * rounds + 1)
    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as folder:
        root = Path(folder)
        progress.step("writing a random model")
        RandomLlama.about(int(settings.size_gb * 1e9)).write(root / "base")
        shapes = _modules(BaseShapes.read(root / "base"))
        _write(
            root / "adalora",
            _adalora(shapes),
            {"peft_type": "ADALORA", "init_r": ADALORA_RANK, "lora_alpha": 32},
        )
        _write(root / "vera", _vera(shapes), {"peft_type": "VERA", "r": VERA_RANK})
        sides: dict[str, Callable[[], float]] = {READ: lambda: _read(root / "base")}
        sides |= {name: _conversion(root, name) for name in ("adalora", "vera")}
        turns = alternate(
            {name: _watched(progress, name, take) for name, take in sides.items()}, rounds
        )
    facts = [
        Fact(
            f"{name}, median",
            statistics.median(turn.value for turn in turns if turn.side == name),
            "s",
        )
        for name in sides
    ]
    return Findings(
        comparisons=tuple(
            Comparison(
                f"convert {name} / {READ}", ratios(turns, name, READ), "x", BAR, at_least=False
            )
            for name in ("adalora", "vera")
        ),
        facts=tuple(facts),
    )


def _watched(progress: Progress, name: str, take: Callable[[], float]) -> Callable[[int], float]:
    def watched(number: int) -> float:
        progress.step(f"{name}, round {number + 1}")
        return take()

    return watched


def _conversion(root: Path, name: str) -> Callable[[], float]:
    def run() -> float:
        output = root / "converted"
        shutil.rmtree(output, ignore_errors=True)
        os.sync()
        flags = ["--base", str(root / "base"), "-o", str(output), "--json"]
        return run_module("lorabay", ["convert", str(root / name), *flags]).seconds

    return run


def _read(base: Path) -> float:
    files = BaseFiles.open(base).files
    os.sync()
    for path in files:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    began = time.perf_counter()
    buffer = bytearray(8 * MIB)
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    return time.perf_counter() - began


def _modules(base: BaseShapes) -> Mapping[str, tuple[int, int]]:
    return {
        m: shape for m, shape in base.shapes.items() if shape and m.rpartition(".")[2] in TARGETS
    }


def _adalora(shapes: Mapping[str, tuple[int, int]]) -> Iterator[_Tensor]:
    for module, (outputs, inputs) in shapes.items():
        yield _Tensor(f"{PREFIX}{module}.lora_A", (ADALORA_RANK, inputs))
        yield _Tensor(f"{PREFIX}{module}.lora_B", (outputs, ADALORA_RANK))
        yield _Tensor(f"{PREFIX}{module}.lora_E", (ADALORA_RANK, 1))


def _vera(shapes: Mapping[str, tuple[int, int]]) -> Iterator[_Tensor]:
    yield _Tensor("base_model.vera_A", (VERA_RANK, max(inputs for _, inputs in shapes.values())))
    yield _Tensor("base_model.vera_B", (max(outputs for outputs, _ in shapes.values()), VERA_RANK))
    for module, (outputs, _) in shapes.items():
        yield _Tensor(f"{PREFIX}{module}.vera_lambda_b", (outputs,))
        yield _Tensor(f"{PREFIX}{module}.vera_lambda_d", (VERA_RANK,))


def _write(folder: Path, tensors: Iterator[_Tensor], config: Mapping[str, object]) -> None:
    folder.mkdir()
    stored = list(tensors)
    random = np.random.default_rng(0)
    with (folder / WEIGHTS_FILE).open("wb") as file:
        file.write(safetensors_header(stored))
        for tensor in stored:
            file.write(random.standard_normal(tensor.shape, np.float32).data)
    (folder / CONFIG_FILE).write_text(
        json.dumps({**config, "target_modules": sorted(TARGETS)}) + "\n"
    )
