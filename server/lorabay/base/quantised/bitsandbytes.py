"""bitsandbytes as it is saved: 4-bit codes with a scale a block, or 8-bit rows with a scale each.

The table of the 4-bit codes (NF4 or FP4, Dettmers et al. 2023) comes with every weight. Its scales
may be quantised themselves.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lorabay.base.tensors import Computed
from lorabay.errors import SetupError
from lorabay.reasons import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lorabay.base.tensors import Stored

_STATE = ".quant_state.bitsandbytes__"
_LARGEST_INT8 = 127.0


def bitsandbytes(
    tensors: Mapping[str, Stored], _config: Mapping[str, object]
) -> dict[str, Computed]:
    """Return the dense tensors by name. Raise SetupError for an unknown layout."""
    dense: dict[str, Computed] = {}
    for name in tensors:
        weight, state, _ = name.partition(_STATE)
        if state:
            dense[weight] = _four_bits(tensors, weight, name)
        elif name.endswith(".SCB"):
            weight = name.removesuffix("SCB") + "weight"
            dense[weight] = _eight_bits(tensors, weight, name)
    return dense


def _four_bits(tensors: Mapping[str, Stored], weight: str, state: str) -> Computed:
    parts: dict[str, Stored] = {}
    for name, stored in tensors.items():
        if name.startswith(f"{weight}."):
            parts[name.removeprefix(f"{weight}.")] = stored

    facts = _read_state(weight, tensors[state])
    names = (weight, *(f"{weight}.{part}" for part in parts))
    load = partial(_load_four_bits, tensors[weight], parts, facts)
    return Computed(tuple(facts["shape"]), load, names)


def _eight_bits(tensors: Mapping[str, Stored], weight: str, scales: str) -> Computed:
    names = [weight, scales]
    if f"{weight}_format" in tensors:
        names.append(f"{weight}_format")
    load = partial(_load_eight_bits, tensors[weight], tensors[scales])
    return Computed(tensors[weight].shape, load, tuple(names))


def _read_state(weight: str, stored: Stored) -> dict[str, Any]:
    """Return the JSON that bitsandbytes saves beside a weight. Raise SetupError."""
    try:
        state = json.loads(stored.values().tobytes())
        if isinstance(state["blocksize"], int) and isinstance(state["shape"], list):
            return dict(state)
    except (ValueError, KeyError, TypeError) as error:
        raise SetupError(
            f"the base's quantisation of {quoted(weight)} cannot be read: {error}"
        ) from error
    raise SetupError(f"the base's quantisation of {quoted(weight)} has no block size or no shape")


def _load_four_bits(
    weight: Stored, parts: Mapping[str, Stored], state: Mapping[str, Any]
) -> NDArray[np.float32]:
    codes = weight.values().reshape(-1)
    table = parts["quant_map"].values().astype(np.float32)
    # Two codes a byte, the first in the high bits.
    dense = np.empty((codes.size, 2), np.float32)
    dense[:, 0] = table[codes >> 4]
    dense[:, 1] = table[codes & 0xF]

    scales = parts["absmax"].values()
    if "nested_absmax" in parts:
        # The scales are 8-bit codes themselves, with a table, an offset and scales of their own.
        nested = parts["nested_absmax"].values().astype(np.float32)
        outer = np.repeat(nested, int(state["nested_blocksize"]))[: scales.size]
        offset = np.float32(state["nested_offset"])
        scales = parts["nested_quant_map"].values()[scales] * outer + offset

    count = int(np.prod(state["shape"]))
    flat = dense.reshape(-1)[:count]
    flat *= np.repeat(scales.astype(np.float32), int(state["blocksize"]))[:count]
    return flat.reshape(state["shape"])


def _load_eight_bits(weight: Stored, scales: Stored) -> NDArray[np.float32]:
    dense = weight.values().astype(np.float32)
    dense *= (scales.values() / np.float32(_LARGEST_INT8))[:, None]
    return dense
