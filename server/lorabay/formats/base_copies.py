"""Copies of the base's own tensors in an adapter's file, told apart from tensors that were trained.

PEFT saves the embedding and the head beside LoRA on them, when the vocabulary seems to have
changed, and when it is asked to; trainers list modules that they never train. A tensor that equals
the base's changes nothing, whatever its name. It may have been rounded on the way: to the dtype
that the base was loaded in, and to the one that it was saved in. It may lack the rows that only pad
the base's table. Both sides are read a block of rows at a time. Does not know how PEFT names
tensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.updates import Replaced
from lorabay.base.shapes import HEAD, is_embedding
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import Unreadable
from lorabay.files.tensors import DTYPE_NAMES, from_float32
from lorabay.formats.advice import MERGE
from lorabay.reasons import Reason, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.algebra.updates import Matrix, Update
    from lorabay.base.shapes import BaseShapes
    from lorabay.base.weights import BaseWeights
    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.formats.interface import Source

    ByTensor = Mapping[str, tuple[Update, ...]]

_LOADED_AS = ("BF16", "F16")
"""Dtypes that a base may be rounded to before it is trained on."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Holds an adapter's tensors against those of the base.

    Without `weights` only shapes are known, and a tensor that fits cannot be told from a copy.
    """

    base: BaseShapes
    weights: BaseWeights | None

    def difference(self, tensor: TensorInfo, name: str, source: Source) -> Reason | None:
        """Return how `tensor` differs from the base's tensor `name`; None if it is a copy of it.

        Raises nothing: a file that cannot be read is a reason, too.
        """
        stored = self._stored_as(name)
        shape = self.base.tensors.get(stored)
        # A number without dimensions has no rows; nobody trains one.
        if not shape or tensor.shape[1:] != shape[1:] or tensor.dtype not in DTYPE_NAMES:
            return _retrained(tensor, "the base has none of this shape")
        if tensor.shape[0] > shape[0]:
            text = (
                f"{quoted(tensor.name)} has {tensor.shape[0]} rows, the base's {shape[0]}: the "
                f"adapter was trained with a larger vocabulary; {MERGE}"
            )
            return Reason("vocabulary", text)
        if self.weights is None:
            return _retrained(tensor, "the base's weights are not at hand to compare it with")
        return _values_differ(tensor, source, self.weights, stored)

    def fits(self, tensor: TensorInfo, name: str) -> bool:
        """Return whether `tensor` may be a copy of the base's tensor `name`, by its shape."""
        shape = self.base.tensors.get(self._stored_as(name), ())
        return tensor.shape[1:] == shape[1:] and tensor.shape[:1] <= shape[:1]

    def _stored_as(self, name: str) -> str:
        """Return the name under which the base stores a tensor: a tied head is its embedding."""
        if name in self.base.tensors or name != f"{HEAD}.weight" or not self.base.tied:
            return name
        embedding = next(filter(is_embedding, self.base.shapes), None)
        return f"{embedding}.weight"


def dropped_copies(updates: ByTensor) -> ByTensor:
    """Return `updates` without what PEFT marks as copies, whether or not they equal the base's."""
    kept = {
        name: tuple(part for part in parts if not _is_marked(part))
        for name, parts in updates.items()
    }
    return {name: parts for name, parts in kept.items() if parts}


def _is_marked(update: Update) -> bool:
    return isinstance(update, Replaced) and update.is_marked_copy


def _retrained(tensor: TensorInfo, why: str) -> Reason:
    text = f"{quoted(tensor.name)} takes the place of a tensor of the base, and {why}; {MERGE}"
    return Reason("modules_to_save", text)


def _values_differ(
    tensor: TensorInfo, source: Source, weights: BaseWeights, stored: str
) -> Reason | None:
    if problem := weights.problem(stored):
        return _retrained(tensor, f"it cannot be compared with the base's: {problem}")
    if stored in weights.unpacked:
        return _retrained(tensor, "the base's own is packed, so that no copy equals it")
    try:
        first = _first_row(tensor, source, weights, stored)
    except SetupError as error:
        return Reason("base_copy", error.message)
    except Unreadable as unreadable:
        return unreadable.reason

    if first is None:
        return None
    text = (
        f"{quoted(tensor.name)} is not the base's own tensor (first in row {first}): it was "
        f"trained, or the base was changed before the training; {MERGE}"
    )
    return Reason("base_copy", text)


def _first_row(tensor: TensorInfo, source: Source, weights: BaseWeights, stored: str) -> int | None:
    """Return the first row that differs, however the base was loaded; None if it is a copy."""
    first = _first_difference(tensor, source, weights, stored, None)
    if first is None:
        return None
    rounded = (_first_difference(tensor, source, weights, stored, dtype) for dtype in _LOADED_AS)
    return None if None in rounded else first


def _first_difference(
    tensor: TensorInfo, source: Source, weights: BaseWeights, stored: str, loaded_as: str | None
) -> int | None:
    """Return the first row that differs from the base's; None if all rows that are there equal it.

    The base's values are rounded to `loaded_as`, and then to the tensor's dtype.
    """
    rows = tensor.shape[0]
    for first, block in weights.blocks(stored):
        count = min(len(block), rows - first)
        if count <= 0:
            break

        own = source.read(tensor.rows(first, count)).as_float32().reshape(count, -1)
        expected = _rounded(block[:count], loaded_as, tensor.dtype)
        if not np.array_equal(own, expected):
            return first + int(np.flatnonzero((own != expected).any(axis=1))[0])
    return None


def _rounded(values: Matrix, loaded_as: str | None, dtype: str) -> Matrix:
    if loaded_as is not None:
        values = from_float32(values, loaded_as).as_float32()
    return from_float32(values, dtype).as_float32()
