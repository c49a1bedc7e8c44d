"""compressed-tensors and block-wise FP8: numbers of few bits times a scale.

There is a scale for each tensor, output, group of inputs, or block. Packed integers have no sign;
they are shifted by half their range. Zero points are packed along the outputs.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lorabay.base.quantised.packed_integers import unpack
from lorabay.base.tensors import Computed
from lorabay.errors import SetupError
from lorabay.reasons import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from lorabay.base.tensors import Stored

_FORMATS = ("pack-quantized", "int-quantized", "float-quantized", "naive-quantized")
_MIXED = "mixed-precision"
_WEIGHT_PARTS = (
    "weight",
    "weight_packed",
    "weight_scale",
    "weight_zero_point",
    "weight_shape",
    "weight_g_idx",
)
_QUANTISATION = re.compile(
    r"\.(?:weight|input|output|[kv])_(?:scale|zero_point|shape|g_idx|packed|scale_inv)$"
)
"""End of the name of a tensor that only describes how its module is quantised."""

_SMALL = frozenset({"I8", "F8_E4M3"})


def compressed_tensors(
    tensors: Mapping[str, Stored], config: Mapping[str, object]
) -> dict[str, Computed]:
    """Return the dense tensors by name. Raise SetupError for an unknown layout."""
    groups = config.get("config_groups")
    schemes = list(groups.values()) if isinstance(groups, dict) else []
    _check_formats(config.get("format"), schemes)
    bits = {(scheme.get("weights") or {}).get("num_bits") for scheme in schemes}

    dense: dict[str, Computed] = {}
    for module in _modules(tensors):
        weight = f"{module}.weight"
        # Scales of activations and of the cache belong to the module, but not to its weight.
        parts: dict[str, Stored] = {}
        for part in _WEIGHT_PARTS:
            if f"{module}.{part}" in tensors:
                parts[part] = tensors[f"{module}.{part}"]

        names = (weight, *(name for name in tensors if _QUANTISATION.sub("", name) == module))
        if "weight_packed" in parts:
            dense[weight] = _packed(module, parts, bits, names)
        else:
            load = partial(_load_unpacked, parts)
            dense[weight] = Computed(parts["weight"].shape, load, names)
    return dense


def block_float8(
    tensors: Mapping[str, Stored], _config: Mapping[str, object]
) -> dict[str, Computed]:
    """Return the dense tensors of FP8 weights by name. Raise SetupError for one without a scale.

    The scale is `weight_scale_inv`, one a block, or `weight_scale`, one for all or one an output.
    """
    dense: dict[str, Computed] = {}
    for name, stored in tensors.items():
        if stored.dtype != "F8_E4M3" or not name.endswith(".weight"):
            continue
        candidates = (f"{name}_scale_inv", f"{name}_scale")
        scale = next((candidate for candidate in candidates if candidate in tensors), None)
        if scale is None:
            raise SetupError(f"the base is FP8, and {quoted(name)} has no scale")

        names = [name, scale]
        input_scale = name.removesuffix("weight") + "input_scale"
        if input_scale in tensors:
            names.append(input_scale)
        load = partial(_load_unpacked, {"weight": stored, "weight_scale": tensors[scale]})
        dense[name] = Computed(stored.shape, load, tuple(names))
    return dense


def _check_formats(default: object, schemes: list[Any]) -> None:
    """Raise SetupError if the config or one of its groups names an unknown format."""
    formats = {default}
    formats.update(scheme.get("format") for scheme in schemes if scheme.get("format"))
    unknown = sorted(str(name) for name in formats if name not in (*_FORMATS, _MIXED))
    if unknown:
        raise SetupError(
            f"the base is compressed as {quoted(unknown)}; known here are {', '.join(_FORMATS)}"
        )


def _modules(tensors: Mapping[str, Stored]) -> Iterator[str]:
    """Yield the modules whose weights are compressed. Raise SetupError for one without a scale."""
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


def _packed(
    module: str, parts: Mapping[str, Stored], bits: set[Any], names: tuple[str, ...]
) -> Computed:
    if "weight_shape" not in parts or "weight_scale" not in parts:
        raise SetupError(
            f"the base is compressed, and {quoted(module)} lacks its shape or its scale"
        )
    outputs, inputs = (int(size) for size in parts["weight_shape"].values())

    # The config has the bits of each group only: find those that fill a row's words with its
    # inputs.
    words = parts["weight_packed"].shape[1]
    widths = (width for width in (4, 8) if width in bits and words == -(-inputs // (32 // width)))
    width = next(widths, None)
    if width is None:
        raise SetupError(
            f"the base is compressed, and {quoted(module)} is packed in neither 4 nor 8 bits"
        )
    load = partial(_load_packed, parts, width, (outputs, inputs))
    return Computed((outputs, inputs), load, names)


def _load_packed(
    parts: Mapping[str, Stored], bits: int, shape: tuple[int, int]
) -> NDArray[np.float32]:
    outputs, inputs = shape
    half = np.float32(1 << (bits - 1))
    dense = unpack(parts["weight_packed"].values(), bits)[:, :inputs].astype(np.float32) - half

    zeros = None
    if "weight_zero_point" in parts:
        packed = np.ascontiguousarray(parts["weight_zero_point"].values().T)
        zeros = unpack(packed, bits)[:, :outputs].T.astype(np.float32) - half
    return _apply_scales(dense, parts, zeros)


def _load_unpacked(parts: Mapping[str, Stored]) -> NDArray[np.float32]:
    dense = parts["weight"].values().astype(np.float32)
    zeros = None
    if "weight_zero_point" in parts:
        zeros = parts["weight_zero_point"].values().astype(np.float32)
    return _apply_scales(dense, parts, zeros)


def _apply_scales(
    dense: NDArray[np.float32], parts: Mapping[str, Stored], zeros: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """Change `dense` to (dense - zeros) * scale in place, and return it."""
    scale = parts["weight_scale"].values()
    groups = parts["weight_g_idx"].values() if "weight_g_idx" in parts else None
    if zeros is not None:
        dense -= _spread(zeros, dense.shape, groups)
    dense *= _spread(scale, dense.shape, groups)
    return dense


def _spread(
    small: NDArray[np.float32], shape: tuple[int, ...], groups: NDArray[np.int64] | None
) -> NDArray[np.float32]:
    """Return an array that broadcasts to `shape`, one number for each of the weight.

    `small` has one number for all, for each output, for each group of inputs, or for each block.
    `groups` is the group of each input, if they are not in order.
    """
    if small.size == 1:
        return small.reshape(1, 1)
    small = small.reshape(len(small), -1)
    outputs, inputs = shape

    # First along the outputs, then along the inputs.
    rows = -(-outputs // small.shape[0])
    spread = small
    if rows > 1:
        side = _block_side(rows, outputs, small.shape[0])
        spread = np.repeat(small, side, axis=0)[:outputs]
    if small.shape[1] == 1:
        return spread
    if groups is not None:
        return spread[:, groups]

    side = _block_side(-(-inputs // small.shape[1]), inputs, small.shape[1])
    return np.repeat(spread, side, axis=1)[:, :inputs]


def _block_side(least: int, size: int, count: int) -> int:
    """Return the side of `count` blocks over `size` numbers, the smallest one being `least`.

    The last block may be cut off, so that `least` is too small; sides are powers of two.
    """
    if size % count == 0 and (least & (least - 1)) == 0:
        return least
    return 1 << (least - 1).bit_length()
