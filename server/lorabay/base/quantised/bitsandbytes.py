"""bitsandbytes as it is saved: 4-bit codes (NF4, FP4) with a scale for each block, or 8-bit rows
with a scale each.

The 4-bit table comes with every weight, and so do scales that are themselves quantised.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lorabay.base.quantised.raw_tensors import read_raw
from lorabay.errors import SetupError
from lorabay.merge.tensors import Computed
from lorabay.reasons import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lorabay.base.files import Stored

    Dense = dict[str, tuple[Computed, tuple[str, ...]]]

_STATE = ".quant_state.bitsandbytes__"
_LARGEST_INT8 = 127.0


def bitsandbytes(tensors: Mapping[str, Stored], config: Mapping[str, object]) -> Dense:
    """Dense name -> how to compute it, and the tensors that it stands for."""
    found: Dense = {}
    for name in tensors:
        weight, state, _ = name.partition(_STATE)
        if state:
            parts = {
                part.removeprefix(f"{weight}."): tensors[part]
                for part in tensors
                if part.startswith(f"{weight}.")
            }
            facts = _facts(weight, tensors[name])
            consumed = (weight, *(f"{weight}.{part}" for part in parts))
            load = partial(_four_bits, tensors[weight], parts, facts)
            found[weight] = (Computed(tuple(facts["shape"]), load), consumed)
        elif name.endswith(".SCB"):
            module = name.removesuffix(".SCB")
            weight = f"{module}.weight"
            consumed = (weight, name, *(other for other in tensors if other == f"{weight}_format"))
            found[weight] = (
                Computed(
                    tensors[weight].shape, partial(_eight_bits, tensors[weight], tensors[name])
                ),
                consumed,
            )
    return found


def _facts(weight: str, stored: Stored) -> dict[str, Any]:
    try:
        facts = json.loads(read_raw(stored).tobytes())
        if isinstance(facts["blocksize"], int) and isinstance(facts["shape"], list):
            return dict(facts)
    except (ValueError, KeyError, TypeError) as error:
        raise SetupError(
            f"the base's quantisation of {quoted(weight)} cannot be read: {error}"
        ) from error
    raise SetupError(f"the base's quantisation of {quoted(weight)} has no block size or no shape")


def _four_bits(
    weight: Stored, parts: Mapping[str, Stored], facts: Mapping[str, Any]
) -> NDArray[np.float32]:
    codes = read_raw(weight).reshape(-1)
    table = read_raw(parts["quant_map"]).astype(np.float32)
    dense = np.empty((codes.size, 2), np.float32)
    dense[:, 0], dense[:, 1] = (
        table[codes >> 4],
        table[codes & 0xF],
    )  # the first number is in the high bits
    scales = read_raw(parts["absmax"])
    if "nested_absmax" in parts:
        nested = read_raw(parts["nested_absmax"]).astype(np.float32)
        outer = np.repeat(nested, int(facts["nested_blocksize"]))[: scales.size]
        scales = read_raw(parts["nested_quant_map"])[scales] * outer + np.float32(
            facts["nested_offset"]
        )
    count = int(np.prod(facts["shape"]))
    flat = dense.reshape(-1)[:count]
    flat *= np.repeat(scales.astype(np.float32), int(facts["blocksize"]))[:count]
    return flat.reshape(facts["shape"])


def _eight_bits(weight: Stored, scales: Stored) -> NDArray[np.float32]:
    dense = read_raw(weight).astype(np.float32)
    dense *= (read_raw(scales) / np.float32(_LARGEST_INT8))[:, None]
    return dense
