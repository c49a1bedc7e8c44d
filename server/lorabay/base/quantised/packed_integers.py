"""GPTQ and AWQ: integers in 32-bit words, with a scale and a zero point for each group of inputs.

W[o, i] = (q[i, o] - z[g, o]) * s[g, o], where g is the group of input i (Frantar et al. 2022, Lin
et al. 2023). The config says how many inputs a group has.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lorabay.base.quantised.blocks import Block, fitting_block
from lorabay.base.tensors import Computed
from lorabay.errors import SetupError
from lorabay.reasons import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lorabay.base.tensors import Stored

_PARTS = ("qweight", "qzeros", "scales", "g_idx")
_REQUIRED = _PARTS[:3]
_WHOLE_WORDS = (2, 4, 8)
# AWQ permutes the numbers in a word so that its kernels find neighbours in different halves.
_AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)


def gptq(tensors: Mapping[str, Stored], config: Mapping[str, object]) -> dict[str, Computed]:
    """Return the dense tensors by name. Raise SetupError for an unknown layout."""
    bits = config.get("bits", 4)
    if bits not in _WHOLE_WORDS:
        raise SetupError(
            f"the base is GPTQ with {quoted(bits)} bits; only {_WHOLE_WORDS} can be de-quantised "
            "here"
        )
    width = int(str(bits))
    shifted = config.get("checkpoint_format", "gptq") != "gptq_v2"

    dense = {}
    for module, parts in _modules(tensors).items():
        rows, outputs = parts["qweight"].shape
        shape = (outputs, rows * 32 // width)
        # With `g_idx` each input names its group.
        size = None if "g_idx" in parts else _group_size(module, shape, parts, config)
        load = partial(_load_gptq, parts, width, size, shifted=shifted)
        dense[f"{module}.weight"] = Computed(shape, load, _names(parts))
    return dense


def awq(tensors: Mapping[str, Stored], config: Mapping[str, object]) -> dict[str, Computed]:
    """Return the dense tensors by name. Raise SetupError for an unknown layout."""
    bits = config.get("bits", config.get("w_bit", 4))
    version = str(config.get("version", "gemm")).lower()
    if bits != 4 or version != "gemm":
        raise SetupError(
            f"the base is AWQ with {quoted(bits)} bits, version {quoted(version)}; only 4 bits and "
            "gemm"
        )

    dense = {}
    for module, parts in _modules(tensors).items():
        inputs, words = parts["qweight"].shape
        shape = (words * 8, inputs)
        load = partial(_load_awq, parts, _group_size(module, shape, parts, config))
        dense[f"{module}.weight"] = Computed(shape, load, _names(parts))
    return dense


def unpack(
    words: NDArray[np.int32], bits: int, order: tuple[int, ...] | None = None
) -> NDArray[np.uint8]:
    """Return the numbers of `bits` bits that each 32-bit word holds, along the last axis.

    The lowest bits come first, or the positions in `order`.
    """
    count = 32 // bits
    shifts = np.array(order or tuple(range(count)), np.uint32) * np.uint32(bits)
    numbers = (words.view(np.uint32)[..., None] >> shifts) & np.uint32((1 << bits) - 1)
    return numbers.astype(np.uint8).reshape(*words.shape[:-1], words.shape[-1] * count)


def _modules(tensors: Mapping[str, Stored]) -> dict[str, dict[str, Stored]]:
    """Return the parts of each packed module. Raise SetupError for one that lacks a part."""
    modules: dict[str, dict[str, Stored]] = {}
    for name, stored in tensors.items():
        module, _, part = name.rpartition(".")
        if part in _PARTS:
            modules.setdefault(module, {})[part] = stored

    for module, parts in modules.items():
        lacking = [part for part in _REQUIRED if part not in parts]
        if lacking:
            raise SetupError(
                f"the base is quantised, and {quoted(module)} lacks {', '.join(lacking)}"
            )
    return modules


def _names(parts: Mapping[str, Stored]) -> tuple[str, ...]:
    return tuple(part.name for part in parts.values())


def _group_size(
    module: str,
    shape: tuple[int, int],
    parts: Mapping[str, Stored],
    config: Mapping[str, object],
) -> int:
    """Return how many inputs share a scale. Raise SetupError if the scales are not that many."""
    size = config.get("group_size", config.get("q_group_size"))
    named = [Block(1, size)] if isinstance(size, int) and size > 0 else []
    groups, outputs = parts["scales"].shape
    return fitting_block(module, shape, (outputs, groups), named).columns


def _load_gptq(
    parts: Mapping[str, Stored], bits: int, group_size: int | None, *, shifted: bool
) -> NDArray[np.float32]:
    scales = parts["scales"].values()
    # GPTQ packs along the inputs, which are the rows.
    numbers = unpack(np.ascontiguousarray(parts["qweight"].values().T), bits)
    zeros = unpack(parts["qzeros"].values(), bits).astype(np.int16)
    if shifted:
        # The first version of the format stores the zero point less one, in as many bits.
        zeros = (zeros + 1) & ((1 << bits) - 1)

    if group_size is None:
        groups = parts["g_idx"].values()
    else:
        groups = np.arange(numbers.shape[1]) // group_size
    return _scaled(numbers, zeros, scales, groups)


def _load_awq(parts: Mapping[str, Stored], group_size: int) -> NDArray[np.float32]:
    scales = parts["scales"].values()
    numbers = unpack(parts["qweight"].values(), 4, _AWQ_ORDER).T
    zeros = unpack(parts["qzeros"].values(), 4, _AWQ_ORDER).astype(np.int16)
    groups = np.arange(numbers.shape[1]) // group_size
    return _scaled(numbers, zeros, scales, groups)


def _scaled(
    numbers: NDArray[np.uint8],
    zeros: NDArray[np.int16],
    scales: NDArray[np.float32],
    groups: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Return (numbers - zeros) * scales, where `numbers` are (outputs, inputs)."""
    dense = numbers.astype(np.float32)
    dense -= zeros.T.astype(np.float32)[:, groups]
    dense *= scales.T[:, groups]
    return dense
