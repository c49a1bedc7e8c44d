"""The copies of the base's embedding and head that PEFT saves beside LoRA on them.

A copy that equals the base's own tensor changes nothing. One that differs comes from a base that
was changed before the training: its vocabulary, or its values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.updates import Replaced
from lorabay.base.shapes import HEAD, is_embedding
from lorabay.errors import SetupError
from lorabay.files.tensors import from_float32
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lorabay.algebra.updates import Matrix, Update
    from lorabay.base.shapes import BaseShapes
    from lorabay.base.weights import BaseWeights

    ByTensor = Mapping[str, tuple[Update, ...]]


def without_copies(
    updates: ByTensor, base: BaseShapes, weights: BaseWeights | None
) -> ByTensor | Rejected:
    """Return `updates` without the copies of the base's own tensors.

    Rejected with every copy that differs or cannot be compared. Without `weights`, only shapes are
    compared.
    """
    problems: list[str | None] = []
    for name, parts in updates.items():
        problems += [_problem(name, part, base, weights) for part in parts]

    reasons = [Reason("base_copy", problem) for problem in problems if problem]
    return rejected(reasons) if reasons else dropped_copies(updates)


def dropped_copies(updates: ByTensor) -> ByTensor:
    """Return `updates` without any copy, whether or not it equals the base's tensor."""
    kept = {
        name: tuple(part for part in parts if not _is_copy(part)) for name, parts in updates.items()
    }
    return {name: parts for name, parts in kept.items() if parts}


def _is_copy(update: Update) -> bool:
    return isinstance(update, Replaced) and update.copied_as is not None


def _problem(
    name: str, update: Update, base: BaseShapes, weights: BaseWeights | None
) -> str | None:
    """Return how a copy differs from the base's tensor in the copy's dtype, if it does."""
    if not isinstance(update, Replaced) or update.copied_as is None:
        return None

    # A tied base stores its head under the embedding's name only.
    embedding = next(filter(is_embedding, base.shapes), None)
    stored = f"{embedding}.weight" if name == f"{HEAD}.weight" and base.tied else name
    copy = f"the adapter's copy of the base's {quoted(name)}"
    if weights is not None and (problem := weights.problem(stored)):
        return f"{copy} cannot be compared with it: {problem}"
    # A file that cannot be read is a reason here, since its adapter is one of many members.
    try:
        values = update.values()
    except SetupError as error:
        return error.message

    is_same = values.shape == base.tensors.get(stored)
    if is_same and weights is not None:
        is_same = _equals(values, update.copied_as, weights.blocks(stored))
    if is_same:
        return None
    return f"{copy} is not the base's own; it was trained on a changed one"


def _equals(values: Matrix, dtype: str, blocks: Iterable[tuple[int, Matrix]]) -> bool:
    """Return whether `values` are the blocks' rows, rounded to `dtype`."""
    rows = values.reshape(len(values), -1)
    return all(
        np.array_equal(rows[first : first + len(block)], from_float32(block, dtype).as_float32())
        for first, block in blocks
    )
