"""Adapters of random weights that fit a base: sound to every check, no two alike, written in a
moment.

What they answer is noise; what they cost to check, store, load and run is what an adapter of their
size costs. Knows neither servers nor where adapters are served from.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from lorabay.errors import SetupError
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from lorabay.files.safetensors_header import ITEM_BYTES, TensorInfo
from lorabay.files.tensors import safetensors_header
from lorabay.formats.tensor_names import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lorabay.base.shapes import BaseShapes, Shape

TARGETS = frozenset({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"})


@dataclass(frozen=True, slots=True)
class RandomAdapters:
    """Adapters of one rank on the same modules of one base."""

    base: str
    rank: int
    modules: tuple[tuple[str, Shape], ...]
    dora: bool = False
    """With a vector of magnitudes for each module."""

    @classmethod
    def about(cls, base: BaseShapes, rank: int, size_bytes: int) -> RandomAdapters:
        """On as many linear modules as make up `size_bytes`, or on all; SetupError for a base
        without any.
        """
        linear = [
            (module, shape)
            for module, shape in base.shapes.items()
            if shape is not None and module.rpartition(".")[2] in TARGETS
        ]
        if not linear:
            raise SetupError(
                f"bench: the base has none of the modules {', '.join(sorted(TARGETS))}"
            )
        sizes = accumulate(ITEM_BYTES["BF16"] * rank * sum(shape) for _, shape in linear)
        enough = next(
            (count for count, size in enumerate(sizes, 1) if size >= size_bytes), len(linear)
        )
        return cls(base.names[0], rank, tuple(linear[:enough]))

    @property
    def size_bytes(self) -> int:
        """Bytes of one adapter's weights."""
        return sum(tensor.end - tensor.start for tensor in self._tensors())

    def write(self, folder: Path, seed: int) -> None:
        """Make `folder` with the adapter of this seed."""
        bits = np.frombuffer(np.random.default_rng(seed).bytes(self.size_bytes), np.uint16)
        # Random signs and digits around a fixed exponent: bfloat16 numbers of a size from 1/128 to
        # 1/64.
        values = (bits & 0x807F) | 0x3C00
        folder.mkdir(parents=True)
        with (folder / WEIGHTS_FILE).open("wb") as file:
            file.write(safetensors_header(self._tensors()))
            file.write((values & 0x7FFF if self.dora else values).data)
        (folder / CONFIG_FILE).write_text(json.dumps(self._config()) + "\n")

    def _tensors(self) -> Iterator[TensorInfo]:
        start = 0
        for module, (outputs, inputs) in self.modules:
            for part, shape in (("A", (self.rank, inputs)), ("B", (outputs, self.rank))):
                end = start + ITEM_BYTES["BF16"] * shape[0] * shape[1]
                yield TensorInfo(f"{PREFIX}{module}.lora_{part}.weight", "BF16", shape, start, end)
                start = end
            if self.dora:
                end = start + ITEM_BYTES["BF16"] * outputs
                yield TensorInfo(
                    f"{PREFIX}{module}.lora_magnitude_vector", "BF16", (outputs,), start, end
                )
                start = end

    def _config(self) -> dict[str, object]:
        return {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": self.base,
            "r": self.rank,
            "lora_alpha": self.rank,
            "use_dora": self.dora,
            "target_modules": [module for module, _ in self.modules],
        }
