"""compressed-tensors and block-wise FP8: numbers of few bits times a scale, by tensor, output,
group of inputs, block.

Packed integers are kept without a sign, shifted by half their range; a zero point is packed along
the outputs.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lorabay.base.quantised.raw_tensors import read_raw, unpack
from lorabay.errors import SetupError
from lorabay.merge.tensors import Computed
from lorabay.reasons import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from lorabay.base.files import Stored

    Dense = dict[str, tuple[Computed, tuple[str, ...]]]

_FORMATS = ("pack-quantized", "int-quantized", "float-quantized", "naive-quantized")
_PARTS = re.compile(
    r"\.(?:(?:weight|input|output|[kv])_(?:scale|zero_point|shape|g_idx|packed|scale_inv))$"
)
_SMALL = frozenset({"I8", "F8_E4M3"})


def compressed_tensors(tensors: Mapping[str, Stored], config: Mapping[str, object]) -> Dense:
    """Dense name -> how to compute it, and the tensors that it stands for."""
    groups = config.get("config_groups")
    schemes = list(groups.values()) if isinstance(groups, dict) else []
    formats = {
        config.get("format"),
        *(scheme.get("format") for scheme in schemes if scheme.get("format")),
    }
    if unknown := sorted(
        str(name) for name in formats if name not in (*_FORMATS, "mixed-precision")
    ):
        raise SetupError(
            f"the base is compressed as {quoted(unknown)}; known here are {', '.join(_FORMATS)}"
        )
    bits = {(scheme.get("weights") or {}).get("num_bits") for scheme in schemes}
    found: Dense = {}
    for module in _modules(tensors):
        parts = {
            part: tensors[f"{module}.{part}"]
            for part in (
                "weight",
                "weight_packed",
                "weight_scale",
                "weight_zero_point",
                "weight_shape",
                "weight_g_idx",
            )
            if f"{module}.{part}" in tensors
        }
        consumed = (
            f"{module}.weight",
            *(name for name in tensors if _PARTS.sub("", name) == module),
        )
        if "weight_packed" in parts:
            found[f"{module}.weight"] = (_packed(module, parts, bits), consumed)
        else:
            found[f"{module}.weight"] = (
                Computed(parts["weight"].shape, partial(_unpacked, parts)),
                consumed,
            )
    return found


def block_float8(tensors: Mapping[str, Stored], config: Mapping[str, object]) -> Dense:
    """FP8 weights with `weight_scale_inv` by block, or `weight_scale` by tensor or output."""
    found: Dense = {}
    for name, stored in tensors.items():
        if stored.dtype != "F8_E4M3" or not name.endswith(".weight"):
            continue
        scale = next(
            (f"{name}{end}" for end in ("_scale_inv", "_scale") if f"{name}{end}" in tensors), None
        )
        if scale is None:
            raise SetupError(f"the base is FP8, and {quoted(name)} has no scale")
        parts = {"weight": stored, "weight_scale": tensors[scale]}
        module = name.removesuffix(".weight")
        consumed = (name, scale, *(other for other in tensors if other == f"{module}.input_scale"))
        found[name] = (Computed(stored.shape, partial(_unpacked, parts)), consumed)
    return found


def _modules(tensors: Mapping[str, Stored]) -> Iterator[str]:
    for name, stored in tensors.items():
        if name.endswith(".weight_packed"):
            yield name.removesuffix(".weight_packed")
        elif name.endswith(".weight") and stored.dtype in _SMALL:
            module = name.removesuffix(".weight")
            if f"{module}.weight_scale" not in tensors:
                raise SetupError(
                    f"the base is compressed, and {quoted(module)} has no weight_scale"
                )
            yield module


def _packed(module: str, parts: Mapping[str, Stored], bits: set[Any]) -> Computed:
    shape_of = parts.get("weight_shape")
    if shape_of is None or "weight_scale" not in parts:
        raise SetupError(
            f"the base is compressed, and {quoted(module)} lacks its shape or its scale"
        )
    outputs, inputs = (int(size) for size in read_raw(shape_of))
    words = parts["weight_packed"].shape[1]
    # As many bits as make these words hold the inputs of a row.
    width = next(
        (width for width in (4, 8) if width in bits and words == -(-inputs // (32 // width))), None
    )
    if width is None:
        raise SetupError(
            f"the base is compressed, and {quoted(module)} is packed in neither 4 nor 8 bits"
        )
    return Computed((outputs, inputs), partial(_unpack, parts, width, (outputs, inputs)))


def _unpack(parts: Mapping[str, Stored], bits: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    outputs, inputs = shape
    half = np.float32(1 << (bits - 1))
    dense = unpack(read_raw(parts["weight_packed"]), bits)[:, :inputs].astype(np.float32) - half
    scale = read_raw(parts["weight_scale"])
    zeros = None
    if "weight_zero_point" in parts:
        packed = np.ascontiguousarray(read_raw(parts["weight_zero_point"]).T)
        zeros = unpack(packed, bits)[:, :outputs].T.astype(np.float32) - half
    groups = read_raw(parts["weight_g_idx"]) if "weight_g_idx" in parts else None
    return _apply(dense, scale, zeros, groups)


def _unpacked(parts: Mapping[str, Stored]) -> NDArray[np.float32]:
    dense = read_raw(parts["weight"]).astype(np.float32)
    zero = parts.get("weight_zero_point")
    groups = read_raw(parts["weight_g_idx"]) if "weight_g_idx" in parts else None
    return _apply(
        dense, read_raw(parts["weight_scale"]), None if zero is None else read_raw(zero), groups
    )


def _apply(
    dense: NDArray[np.float32],
    scale: NDArray[np.float32],
    zeros: NDArray[Any] | None,
    groups: NDArray[np.int64] | None,
) -> NDArray[np.float32]:
    if zeros is not None:
        dense -= _spread(zeros.astype(np.float32), dense.shape, groups)
    dense *= _spread(scale, dense.shape, groups)
    return dense


def _spread(
    small: NDArray[np.float32], shape: tuple[int, ...], groups: NDArray[np.int64] | None
) -> NDArray[np.float32]:
    """One number for each of the weight: from one for all, for each output, for each group of
    inputs or each block.
    """
    if small.size == 1:
        return small.reshape(1, 1)
    small = small.reshape(len(small), -1)
    outputs, inputs = shape
    rows = -(-outputs // small.shape[0])
    spread = (
        small
        if rows == 1
        else np.repeat(small, _block(rows, outputs, small.shape[0]), axis=0)[:outputs]
    )
    if small.shape[1] == 1:
        return spread
    if groups is not None:
        return spread[:, groups]
    return np.repeat(spread, _block(-(-inputs // small.shape[1]), inputs, small.shape[1]), axis=1)[
        :, :inputs
    ]


def _block(least: int, size: int, count: int) -> int:
    """The side of a block: the last one may be cut off, and blocks have a power of two."""
    if size % count == 0 and (least & (least - 1)) == 0:
        return least
    return 1 << (least - 1).bit_length()
