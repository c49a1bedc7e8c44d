"""compressed-tensors and block-wise FP8: numbers of few bits times a scale.

There is a scale for each tensor, output, group of inputs, or block; the config says how large a
group or a block is. Packed integers have no sign; they are shifted by half their range. Zero points
are packed along the outputs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lorabay.base.quantised.blocks import Block, fitting_block, spread
from lorabay.base.quantised.packed_integers import unpack
from lorabay.base.tensors import Computed
from lorabay.errors import SetupError
from lorabay.reasons import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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

_PATTERN = "re:"
"""Marks a target that is a regular expression."""

_SMALL = frozenset({"I8", "F8_E4M3"})


def compressed_tensors(
    tensors: Mapping[str, Stored], config: Mapping[str, object]
) -> dict[str, Computed]:
    """Return the dense tensors by name. Raise SetupError for an unknown layout."""
    schemes = _schemes(config)
    _check_formats(config.get("format"), schemes)
    bits = _bits(schemes)
    descriptions = _descriptions(tensors)

    dense: dict[str, Computed] = {}
    for module in _modules(tensors):
        weight = f"{module}.weight"
        parts = _weight_parts(module, tensors)
        names = (weight, *descriptions.get(module, ()))
        sizes = _named_blocks(module, schemes)

        if "weight_packed" in parts:
            dense[weight] = _packed(module, parts, bits, sizes, names)
        else:
            dense[weight] = _unpacked(module, parts, sizes, names)
    return dense


def _schemes(config: Mapping[str, object]) -> list[Mapping[str, Any]]:
    """Return what the config says of each group of modules."""
    groups = config.get("config_groups")
    if not isinstance(groups, Mapping):
        return []
    return [scheme for scheme in groups.values() if isinstance(scheme, Mapping)]


def _bits(schemes: Iterable[Mapping[str, Any]]) -> set[int]:
    """Return the bits that the weights of a group have, for all groups."""
    bits: set[int] = set()
    for scheme in schemes:
        weights = scheme.get("weights")
        count = weights.get("num_bits") if isinstance(weights, Mapping) else None
        if isinstance(count, int):
            bits.add(count)
    return bits


def _descriptions(tensors: Iterable[str]) -> dict[str, list[str]]:
    """Return the tensors of each module that only describe how it is quantised."""
    descriptions: dict[str, list[str]] = {}
    for name in tensors:
        module = _QUANTISATION.sub("", name)
        if module != name:
            descriptions.setdefault(module, []).append(name)
    return descriptions


def _weight_parts(module: str, tensors: Mapping[str, Stored]) -> dict[str, Stored]:
    """Return the tensors that a module's weight is made of.

    Scales of activations and of the cache belong to the module, but not to its weight.
    """
    parts: dict[str, Stored] = {}
    for part in _WEIGHT_PARTS:
        stored = tensors.get(f"{module}.{part}")
        if stored is not None:
            parts[part] = stored
    return parts


def block_float8(
    tensors: Mapping[str, Stored], config: Mapping[str, object]
) -> dict[str, Computed]:
    """Return the dense tensors of FP8 weights by name. Raise SetupError for one without a scale.

    The scale is `weight_scale_inv`, one a block, or `weight_scale`, one for all or one an output.
    """
    block = _block(config.get("weight_block_size"))
    sizes = [] if block is None else [block]

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
        parts = {"weight": stored, "weight_scale": tensors[scale]}
        dense[name] = _unpacked(name.removesuffix(".weight"), parts, sizes, tuple(names))
    return dense


def _check_formats(default: object, schemes: Iterable[Mapping[str, Any]]) -> None:
    """Raise SetupError if the config or one of its groups names an unknown format."""
    formats = {str(default)}
    for scheme in schemes:
        if scheme.get("format"):
            formats.add(str(scheme["format"]))

    unknown = sorted(formats.difference(_FORMATS, {_MIXED}))
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


def _named_blocks(module: str, schemes: Sequence[Mapping[str, Any]]) -> list[Block]:
    """Return the block sizes of the schemes that name a module, else of all.

    The others are for classes of modules, of which the files say nothing.
    """
    naming = [scheme for scheme in schemes if _is_named(scheme.get("targets"), module)]

    blocks: list[Block] = []
    for scheme in naming or schemes:
        block = _block_of(scheme.get("weights"))
        if block is not None:
            blocks.append(block)
    return blocks


def _is_named(targets: object, module: str) -> bool:
    """Return whether one of a scheme's targets is a module's name, or a pattern of it."""
    for target in targets if isinstance(targets, list) else ():
        if target == module:
            return True
        if str(target).startswith(_PATTERN) and re.match(target[len(_PATTERN) :], module):
            return True
    return False


def _block_of(weights: object) -> Block | None:
    """Return the size of the blocks of one scheme; None if it has one scale an output, or one."""
    if not isinstance(weights, Mapping):
        return None
    size = weights.get("group_size")
    if isinstance(size, int) and size > 0:
        return Block(1, size)
    return _block(weights.get("block_structure"))


def _block(structure: object) -> Block | None:
    """Return the block that a config writes as `[128, 128]`, or as `128x128` in older ones."""
    sides = structure.split("x") if isinstance(structure, str) else structure
    if not isinstance(sides, list) or len(sides) != 2:
        return None
    if not all(str(side).isdecimal() and int(side) for side in sides):
        return None
    return Block(int(sides[0]), int(sides[1]))


def _unpacked(
    module: str, parts: Mapping[str, Stored], sizes: list[Block], names: tuple[str, ...]
) -> Computed:
    shape = parts["weight"].shape
    block = fitting_block(module, shape, parts["weight_scale"].shape, sizes)
    return Computed(shape, partial(_load_unpacked, parts, block), names)


def _packed(
    module: str,
    parts: Mapping[str, Stored],
    bits: set[int],
    sizes: list[Block],
    names: tuple[str, ...],
) -> Computed:
    if "weight_shape" not in parts or "weight_scale" not in parts:
        raise SetupError(
            f"the base is compressed, and {quoted(module)} lacks its shape or its scale"
        )
    outputs, inputs = (int(size) for size in parts["weight_shape"].values())

    width = _width(parts["weight_packed"].shape[1], inputs, bits)
    if width is None:
        raise SetupError(
            f"the base is compressed, and {quoted(module)} is packed in neither 4 nor 8 bits"
        )
    shape = outputs, inputs
    block = fitting_block(module, shape, parts["weight_scale"].shape, sizes)
    return Computed(shape, partial(_load_packed, parts, width, shape, block), names)


def _width(words: int, inputs: int, bits: set[int]) -> int | None:
    """Return the bits of each input, if so many of them fill the words of a row.

    The config has the bits of each group only.
    """
    for width in (4, 8):
        inputs_in_a_word = 32 // width
        if width in bits and words == -(-inputs // inputs_in_a_word):
            return width
    return None


def _load_packed(
    parts: Mapping[str, Stored], bits: int, shape: tuple[int, int], block: Block
) -> NDArray[np.float32]:
    outputs, inputs = shape
    half = np.float32(1 << (bits - 1))
    dense = unpack(parts["weight_packed"].values(), bits)[:, :inputs].astype(np.float32) - half

    zeros = None
    if "weight_zero_point" in parts:
        packed = np.ascontiguousarray(parts["weight_zero_point"].values().T)
        zeros = unpack(packed, bits)[:, :outputs].T.astype(np.float32) - half
    return _apply_scales(dense, parts, block, zeros)


def _load_unpacked(parts: Mapping[str, Stored], block: Block) -> NDArray[np.float32]:
    dense = parts["weight"].values().astype(np.float32)
    zeros = None
    if "weight_zero_point" in parts:
        zeros = parts["weight_zero_point"].values().astype(np.float32)
    return _apply_scales(dense, parts, block, zeros)


def _apply_scales(
    dense: NDArray[np.float32],
    parts: Mapping[str, Stored],
    block: Block,
    zeros: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    """Change `dense` to (dense - zeros) * scale in place, and return it."""
    groups = parts["weight_g_idx"].values() if "weight_g_idx" in parts else None
    # The library leaves -1 where no order was chosen: then the groups are in order.
    if groups is not None and (groups == -1).any():
        groups = None

    if zeros is not None:
        dense -= spread(zeros, dense.shape, block, groups)
    dense *= spread(parts["weight_scale"].values(), dense.shape, block, groups)
    return dense
