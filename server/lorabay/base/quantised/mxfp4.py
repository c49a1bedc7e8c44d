"""MXFP4 as gpt-oss stores its experts: numbers of four bits, 32 of which share a power of two.

A value is a sign, two bits of exponent and one of mantissa (OCP Microscaling Formats 1.0), two in a
byte, the lower half first. `X_blocks` is (experts, outputs, blocks, 16) and `X_scales` (experts,
outputs, blocks), with exponents in excess of 127. The dense parameter is (experts, inputs,
outputs), as transformers' `convert_moe_packed_tensors` makes it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from lorabay.base.tensors import Computed
from lorabay.errors import SetupError
from lorabay.reasons import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lorabay.base.tensors import Stored

_BLOCKS, _SCALES = "_blocks", "_scales"
_BLOCK_BYTES = 16
_EXCESS = 127

_RECENT = 4
"""Experts that are kept dense. Rows are asked for in order, but a block may reach over two."""

_MAGNITUDES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_VALUES = np.array([*_MAGNITUDES, *(-value for value in _MAGNITUDES)], np.float32)
"""The value of each code; the highest bit is the sign."""


def mxfp4(tensors: Mapping[str, Stored], _config: Mapping[str, object]) -> dict[str, Computed]:
    """Return the dense tensors by name. Raise SetupError for an unknown layout."""
    dense: dict[str, Computed] = {}
    for name, blocks in tensors.items():
        if not name.endswith(_BLOCKS) or blocks.dtype != "U8":
            continue
        weight = name.removesuffix(_BLOCKS)
        scales = tensors.get(weight + _SCALES)

        fits = scales is not None and scales.shape == blocks.shape[:-1]
        if scales is None or not fits or len(blocks.shape) != 4 or blocks.shape[3] != _BLOCK_BYTES:
            raise SetupError(
                f"the base is MXFP4, and {quoted(name)} of shape {blocks.shape} has no scale for "
                f"each block of {2 * _BLOCK_BYTES} numbers"
            )
        experts = _Experts(blocks, scales)
        parts = (blocks.name, scales.name)
        dense[weight] = Computed(experts.shape, experts.load, parts, experts.rows)
    return dense


class _Experts:
    """The experts of one tensor, made dense one at a time.

    The last few are kept: several threads ask for the rows of an expert, each for some of them.
    """

    def __init__(self, blocks: Stored, scales: Stored) -> None:
        experts, outputs, count, size = blocks.shape
        self.shape = (experts, count * size * 2, outputs)
        self._blocks, self._scales = blocks, scales
        self._recent = lru_cache(_RECENT)(self._made)
        self._lock = Lock()

    def load(self) -> NDArray[np.float32]:
        """Return all experts."""
        dense = np.empty(self.shape, np.float32)
        for number in range(len(dense)):
            dense[number] = self._made(number)
        return dense

    def rows(self, rows: slice) -> NDArray[np.float32]:
        """Return some of the rows of all experts."""
        height = self.shape[1]
        parts: list[NDArray[np.float32]] = []
        first = rows.start
        while first < rows.stop:
            number, begin = divmod(first, height)
            count = min(height - begin, rows.stop - first)
            parts.append(self._expert(number)[begin : begin + count])
            first += count
        return np.concatenate(parts)

    def _expert(self, number: int) -> NDArray[np.float32]:
        # Without the lock, threads that ask at the same time would all make it.
        with self._lock:
            return self._recent(number)

    def _made(self, number: int) -> NDArray[np.float32]:
        """Return one expert as (inputs, outputs)."""
        codes = _of_expert(self._blocks, number).values()
        exponents = _of_expert(self._scales, number).values()
        return np.ascontiguousarray(_dense(codes, exponents).T)


def _of_expert(stored: Stored, number: int) -> Stored:
    """Return the part of a tensor that is of one expert."""
    size = stored.size // stored.shape[0]
    return replace(stored, shape=stored.shape[1:], start=stored.start + number * size, size=size)


def _dense(codes: NDArray[np.uint8], exponents: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the numbers of one expert as (outputs, inputs)."""
    outputs, blocks, size = codes.shape
    values = np.empty((outputs, blocks, size, 2), np.float32)
    values[..., 0] = _VALUES[codes & 0x0F]
    values[..., 1] = _VALUES[codes >> 4]

    powers = exponents.astype(np.int32) - _EXCESS
    scaled = np.ldexp(values.reshape(outputs, blocks, 2 * size), powers[..., None])
    return scaled.reshape(outputs, -1)
