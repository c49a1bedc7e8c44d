"""Writes plain LoRA as PEFT reads it, one module at a time, each module with its own rank.

The experts of a mixture that are one tensor of the base become one pair of factors, as PEFT's
`target_parameters` have it. The ranks need not be known before the last factor arrives: factors are
written behind room for the header, and the header last. Scales are folded into the factors: alpha
is the rank everywhere.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lorabay.base.model_names import in_model
from lorabay.base.parameters import parameters
from lorabay.base.shapes import is_embedding
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from lorabay.files.safetensors_header import header_bytes
from lorabay.files.tensors import from_float32
from lorabay.formats.lora_parameters import flat_a, flat_b, wrapper_names
from lorabay.formats.tensor_names import PREFIX
from lorabay.reasons import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from lorabay.algebra.updates import Matrix
    from lorabay.base.shapes import BaseShapes

_LARGEST = 1 << 31
"""More than any side of a factor; gives the longest header that the tensors can need."""


@dataclass(frozen=True, slots=True)
class _Stored:
    name: str
    dtype: str
    shape: tuple[int, ...]


class LoraFolder:
    """One adapter in the making.

    `folder` is empty, `modules` are the only modules of `base` that may be added, and `experts` the
    only tensors of it that hold all experts of a layer. `dtype` is safetensors' name of the type
    that is stored. A context manager that closes its file.
    """

    def __init__(
        self,
        folder: Path,
        dtype: str,
        modules: Collection[str],
        base: BaseShapes,
        experts: Collection[str] = (),
    ) -> None:
        self._folder = folder
        self._dtype = dtype
        self._base = base
        self._tensors: list[_Stored] = []
        self._module_ranks: dict[str, int] = {}
        self._parameter_ranks: dict[str, int] = {}

        wrapped = wrapper_names(map(in_model, experts))
        self._wrappers = {parameter: wrapper for wrapper, parameter in wrapped.items()}

        # The header is written last, into room for the longest one that may become necessary.
        names = [name for module in (*modules, *wrapped) for name in _names(module)]
        largest = [_Stored(name, dtype, (_LARGEST, _LARGEST)) for name in names]
        self._header_bytes = len(header_bytes(largest))
        self._weights = (folder / WEIGHTS_FILE).open("xb")
        self._weights.seek(self._header_bytes)

    def __enter__(self) -> LoraFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self._weights.close()

    def add(self, module: str, a: Matrix, b: Matrix) -> None:
        """Write the factors of one module, whose stored weight changes by `b @ a`.

        Raises SetupError for values that the dtype cannot hold.
        """
        self._module_ranks[module] = a.shape[0]
        # PEFT stores the factors of a transposed weight the other way round.
        factors = (b.T, a.T) if self._base.is_transposed(module) else (a, b)
        self._write(module, factors)

    def add_experts(self, tensor: str, a: Matrix, b: Matrix) -> None:
        """Write the factors of all experts that one tensor of the base holds.

        A is (experts, rank, inputs) and B (experts, outputs, rank). Raises SetupError for values
        that the dtype cannot hold.
        """
        parameter = in_model(tensor)
        self._parameter_ranks[parameter] = a.shape[1]
        self._write(self._wrappers[parameter], (flat_a(a), flat_b(b)))

    def _write(self, module: str, factors: tuple[Matrix, Matrix]) -> None:
        for name, values in zip(_names(module), factors, strict=True):
            tensor = from_float32(np.ascontiguousarray(values, np.float32), self._dtype)
            if not tensor.is_finite:
                text = f"the factors of {quoted(module)} have values too large for {self._dtype}"
                raise SetupError(text)
            self._tensors.append(_Stored(name, self._dtype, values.shape))
            self._weights.write(tensor.values.data)

    def abandon(self) -> None:
        """Remove the weights that were written so far."""
        (self._folder / WEIGHTS_FILE).unlink()

    def finish(self, base_model: str | None) -> int:
        """Complete both files and return the size of the weights in bytes."""
        size = self._weights.tell()
        self._weights.seek(0)
        self._weights.write(header_bytes(self._tensors, self._header_bytes))
        self._weights.close()

        text = json.dumps(self._config(base_model), indent=2) + "\n"
        (self._folder / CONFIG_FILE).write_text(text, encoding="utf-8")
        return size

    def _config(self, base_model: str | None) -> dict[str, object]:
        # The most usual rank is the config's; patterns name the others.
        ranks = self._module_ranks | self._parameter_ranks
        usual = Counter(ranks.values()).most_common(1)[0][0]
        others = {name: rank for name, rank in ranks.items() if rank != usual}

        config: dict[str, object] = {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base_model,
            "r": usual,
            "lora_alpha": usual,
            "rank_pattern": others,
            "alpha_pattern": others,
            "target_modules": _targets(self._module_ranks, self._base),
            "bias": "none",
            "fan_in_fan_out": any(map(self._base.is_conv1d, self._module_ranks)),
            "lora_dropout": 0.0,
            "inference_mode": True,
        }
        if self._parameter_ranks:
            config["target_parameters"] = _target_parameters(self._parameter_ranks, self._base)
        return config


def _names(module: str) -> tuple[str, str]:
    """Return PEFT's names for the module's two factors."""
    if is_embedding(module):
        return f"{PREFIX}{module}.lora_embedding_A", f"{PREFIX}{module}.lora_embedding_B"
    return f"{PREFIX}{module}.lora_A.weight", f"{PREFIX}{module}.lora_B.weight"


def _targets(modules: Iterable[str], base: BaseShapes) -> list[str]:
    """Return the last parts of the names if they mean exactly these modules, else the names."""
    modules = set(modules)
    leaves = {module.rpartition(".")[2] for module in modules}
    meant = {
        module
        for module in base.shapes
        if module.rpartition(".")[2] in leaves and not base.is_unused(module)
    }
    return sorted(leaves if meant == modules else modules)


def _target_parameters(names: Iterable[str], base: BaseShapes) -> list[str]:
    """Return `experts.down_proj` and the like if they mean exactly these, else the whole names."""
    names = set(names)
    ends = {_end(name) for name in names}
    all_names = {in_model(name) for name in parameters(base) if not base.is_unused(name)}
    meant = {name for name in all_names if _end(name) in ends}
    return sorted(ends if meant == names else names)


def _end(name: str) -> str:
    return ".".join(name.split(".")[-2:])
