"""GPTQ and AWQ: integers packed into 32-bit words, with a scale and a zero point for each group of
inputs.

W[o, i] = (q[i, o] - z[g, o]) * s[g, o], where g is the group of input i.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lorabay.base.quantised.raw_tensors import read_raw, unpack
from lorabay.errors import SetupError
from lorabay.merge.tensors import Computed
from lorabay.reasons import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lorabay.base.files import Stored

_PARTS = ("qweight", "qzeros", "scales", "g_idx")
_WHOLE_WORDS = (2, 4, 8)
# Where AWQ puts the numbers of one word, so that its kernels find neighbours in different halves.
_AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)


def gptq(
    tensors: Mapping[str, Stored], config: Mapping[str, object]
) -> dict[str, tuple[Computed, tuple[str, ...]]]:
    """Dense name -> how to compute it, and the tensors that it stands for."""
    bits = config.get("bits", 4)
    if bits not in _WHOLE_WORDS:
        raise SetupError(
            f"the base is GPTQ with {quoted(bits)} bits; only {_WHOLE_WORDS} can be de-quantised here"
        )
    shifted = config.get("checkpoint_format", "gptq") != "gptq_v2"
    found = {}
    for module, parts in _modules(tensors).items():
        rows, outputs = parts["qweight"].shape
        shape = (outputs, rows * 32 // int(str(bits)))
        load = partial(_gptq, parts, int(str(bits)), shifted=shifted)
        found[f"{module}.weight"] = (
            Computed(shape, load),
            tuple(part.name for part in parts.values()),
        )
    return found


def awq(
    tensors: Mapping[str, Stored], config: Mapping[str, object]
) -> dict[str, tuple[Computed, tuple[str, ...]]]:
    """As `gptq`."""
    bits, version = (
        config.get("bits", config.get("w_bit", 4)),
        str(config.get("version", "gemm")).lower(),
    )
    if bits != 4 or version != "gemm":
        raise SetupError(
            f"the base is AWQ with {quoted(bits)} bits, version {quoted(version)}; only 4 bits and gemm"
        )
    found = {}
    for module, parts in _modules(tensors).items():
        inputs, words = parts["qweight"].shape
        load = partial(_awq, parts)
        found[f"{module}.weight"] = (
            Computed((words * 8, inputs), load),
            tuple(part.name for part in parts.values()),
        )
    return found


def _modules(tensors: Mapping[str, Stored]) -> dict[str, dict[str, Stored]]:
    modules: dict[str, dict[str, Stored]] = {}
    for name, stored in tensors.items():
        module, _, part = name.rpartition(".")
        if part in _PARTS:
            modules.setdefault(module, {})[part] = stored
    for module, parts in modules.items():
        lacking = [part for part in _PARTS[:3] if part not in parts]
        if lacking:
            raise SetupError(
                f"the base is quantised, and {quoted(module)} lacks {', '.join(lacking)}"
            )
    return modules


def _gptq(parts: Mapping[str, Stored], bits: int, *, shifted: bool) -> NDArray[np.float32]:
    scales = read_raw(parts["scales"])
    numbers = unpack(np.ascontiguousarray(read_raw(parts["qweight"]).T), bits)
    zeros = unpack(read_raw(parts["qzeros"]), bits).astype(np.int16)
    if shifted:
        # The first version of the format stores the zero point less one, in as many bits.
        zeros = (zeros + 1) & ((1 << bits) - 1)
    inputs = numbers.shape[1]
    groups = (
        read_raw(parts["g_idx"])
        if "g_idx" in parts
        else np.arange(inputs) // (inputs // len(scales))
    )
    return _scaled(numbers, zeros, scales, groups)


def _awq(parts: Mapping[str, Stored]) -> NDArray[np.float32]:
    scales = read_raw(parts["scales"])
    numbers = unpack(read_raw(parts["qweight"]), 4, _AWQ_ORDER).T
    zeros = unpack(read_raw(parts["qzeros"]), 4, _AWQ_ORDER).astype(np.int16)
    inputs = numbers.shape[1]
    return _scaled(numbers, zeros, scales, np.arange(inputs) // (inputs // len(scales)))


def _scaled(
    numbers: NDArray[np.uint8],
    zeros: NDArray[np.int16],
    scales: NDArray[np.float32],
    groups: NDArray[np.int64],
) -> NDArray[np.float32]:
    dense = numbers.astype(np.float32)
    dense -= zeros.T.astype(np.float32)[:, groups]
    dense *= scales.T[:, groups]
    return dense
