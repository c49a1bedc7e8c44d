"""The copies of the base's embedding and head that PEFT saves beside LoRA on them, and what is left
without those.

One that is the base's own changes nothing. One that is not holds what was changed before the
training: a vocabulary, or the values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.updates import Replaced
from lorabay.base.shapes import is_embedding
from lorabay.errors import SetupError
from lorabay.files.tensors import from_float32
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from lorabay.algebra.updates import Update
    from lorabay.base.shapes import BaseShapes
    from lorabay.base.weights import BaseWeights

    Matrix = NDArray[np.float32]

_HEAD = "lm_head.weight"


def is_copy(update: Update) -> bool:
    return isinstance(update, Replaced) and update.copied_as is not None


def without_copies(
    updates: Mapping[str, tuple[Update, ...]], base: BaseShapes, weights: BaseWeights | None
) -> Mapping[str, tuple[Update, ...]] | Rejected:
    """`updates` without the copies of the base's own tensors. Rejected with each that differs or
    cannot be compared.

    Without `weights` only the shapes are compared.
    """
    reasons = [
        Reason("base_copy", text)
        for name, parts in updates.items()
        for part in parts
        if isinstance(part, Replaced)
        and part.copied_as
        and (text := _difference(name, part, base, weights))
    ]
    return rejected(reasons) if reasons else dropped_copies(updates)


def dropped_copies(updates: Mapping[str, tuple[Update, ...]]) -> Mapping[str, tuple[Update, ...]]:
    """The same, where the copies are known to be the base's or do not count."""
    kept = {
        name: tuple(part for part in parts if not is_copy(part)) for name, parts in updates.items()
    }
    return {name: parts for name, parts in kept.items() if parts}


def _difference(
    name: str, copy: Replaced, base: BaseShapes, weights: BaseWeights | None
) -> str | None:
    """How the copy is another than the base's tensor in the copy's dtype, if it is."""
    embedding = next(filter(is_embedding, base.shapes), None)
    stored = f"{embedding}.weight" if name == _HEAD and base.tied else name
    if weights is not None and (problem := weights.problem(stored)):
        return (
            f"the adapter's copy of the base's {quoted(name)} cannot be compared with it: {problem}"
        )
    try:
        values = copy.values()
    except SetupError as error:
        return error.message
    if values.shape == base.tensors.get(stored) and (
        weights is None or _is_same(values, str(copy.copied_as), weights.blocks(stored))
    ):
        return None
    return f"the adapter's copy of the base's {quoted(name)} is not the base's own; it was trained on a changed one"


def _is_same(values: Matrix, dtype: str, blocks: Iterable[tuple[int, Matrix]]) -> bool:
    rows = values.reshape(len(values), -1)
    return all(
        np.array_equal(rows[first : first + len(block)], from_float32(block, dtype).as_float32())
        for first, block in blocks
    )
