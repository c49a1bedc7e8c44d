"""Scenario `convert`: AdaLoRA and VeRA adapters of a random llama into plain LoRA, against reading
the model once.

The model is read from the disk, not from the page cache. A conversion reads only its headers,
starts as a new process and ends when all is on disk. VeRA has PEFT's default rank, so that its
factors become many times its own size.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lorabay.base.files import BaseFiles
from lorabay.base.shapes import BaseShapes
from lorabay.bench.alternation import Comparison, alternate, median_of, ratios
from lorabay.bench.processes import run_module
from lorabay.bench.progress import announced
from lorabay.bench.report import Fact, Findings
from lorabay.bench.resources import MIB
from lorabay.bench.synthetic_adapters import TARGETS, linear_modules
from lorabay.bench.synthetic_model import RandomLlama
from lorabay.errors import UsageError
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from lorabay.files.safetensors_header import header_bytes
from lorabay.formats.tensor_names import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lorabay.bench.progress import Progress
    from lorabay.bench.settings import BenchSettings

ROUNDS = 3
ADALORA_RANK, VERA_RANK = 16, 256
ADALORA, VERA, READ = "adalora", "vera", "reading the model"
BAR = 2.0


def convert(settings: BenchSettings, progress: Progress) -> Findings:
    """Compare conversions of adapters that are made, with their model, in the temporary folder.

    They need room for about twice the model's size. Raises UsageError with a URL.
    """
    if settings.url is not None:
        raise UsageError("bench: scenario 'convert' works on a model of its own; leave out --url")
    rounds = settings.rounds or ROUNDS
    progress.plan(3 * rounds + 1)

    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as folder:
        root = Path(folder)
        progress.step("writing a random model")
        RandomLlama.about(int(settings.size_gb * 1e9)).write(root / "base")
        _make_adapters(root)

        sides = {
            READ: announced(progress, READ, lambda: _read(root / "base")),
            ADALORA: announced(progress, ADALORA, lambda: _convert(root, ADALORA)),
            VERA: announced(progress, VERA, lambda: _convert(root, VERA)),
        }
        turns = alternate(sides, rounds)

    comparisons: list[Comparison] = []
    for name in (ADALORA, VERA):
        values = ratios(turns, name, READ)
        comparisons.append(Comparison(f"convert {name} / {READ}", values, "x", BAR, at_least=False))
    facts = tuple(Fact(f"{name}, median", median_of(turns, name), "s") for name in sides)
    return Findings(comparisons=tuple(comparisons), facts=facts)


def _read(base: Path) -> float:
    """Return the seconds of one reading of the model from the disk."""
    files = BaseFiles.open(base).files

    # Pages that are not written yet cannot be dropped from the cache.
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


def _convert(root: Path, name: str) -> float:
    """Return the seconds of one conversion, from spawn to exit."""
    output = root / "converted"
    shutil.rmtree(output, ignore_errors=True)
    os.sync()
    flags = ["--base", str(root / "base"), "-o", str(output), "--json"]
    return run_module("lorabay", ["convert", str(root / name), *flags]).seconds


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    dtype: str = "F32"


def _make_adapters(root: Path) -> None:
    """Write folders `adalora` and `vera`, each on every linear module of the base."""
    shapes = linear_modules(BaseShapes.read(root / "base"))
    adalora = {"peft_type": "ADALORA", "init_r": ADALORA_RANK, "lora_alpha": 32}
    _write(root / ADALORA, _adalora_tensors(shapes), adalora)
    vera = {"peft_type": "VERA", "r": VERA_RANK}
    _write(root / VERA, _vera_tensors(shapes), vera)


def _adalora_tensors(shapes: Mapping[str, tuple[int, int]]) -> Iterator[_Tensor]:
    for module, (outputs, inputs) in shapes.items():
        yield _Tensor(f"{PREFIX}{module}.lora_A", (ADALORA_RANK, inputs))
        yield _Tensor(f"{PREFIX}{module}.lora_B", (outputs, ADALORA_RANK))
        yield _Tensor(f"{PREFIX}{module}.lora_E", (ADALORA_RANK, 1))


def _vera_tensors(shapes: Mapping[str, tuple[int, int]]) -> Iterator[_Tensor]:
    # All modules share two matrices, as large as the largest module.
    most_inputs = max(inputs for _, inputs in shapes.values())
    most_outputs = max(outputs for outputs, _ in shapes.values())
    yield _Tensor("base_model.vera_A", (VERA_RANK, most_inputs))
    yield _Tensor("base_model.vera_B", (most_outputs, VERA_RANK))

    for module, (outputs, _) in shapes.items():
        yield _Tensor(f"{PREFIX}{module}.vera_lambda_b", (outputs,))
        yield _Tensor(f"{PREFIX}{module}.vera_lambda_d", (VERA_RANK,))


def _write(folder: Path, tensors: Iterable[_Tensor], config: Mapping[str, object]) -> None:
    folder.mkdir()
    stored = list(tensors)
    rng = np.random.default_rng(0)
    with (folder / WEIGHTS_FILE).open("wb") as file:
        file.write(header_bytes(stored))
        for tensor in stored:
            file.write(rng.standard_normal(tensor.shape, np.float32).data)

    whole_config = {**config, "target_modules": sorted(TARGETS)}
    (folder / CONFIG_FILE).write_text(json.dumps(whole_config) + "\n")
