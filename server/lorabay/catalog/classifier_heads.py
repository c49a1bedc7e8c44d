"""The head of a classifier that an adapter retrained as a whole, as a product that engines serve.

PEFT trains the head as a whole with every adapter for classification. A head has a row for each
label, so what was changed of it has a small rank: W' = W + B A, where A = W' - W has a row for each
label, and B is the identity. Knows nothing of which engines adapt a head.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.updates import LowRank, Replaced
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import Unreadable
from lorabay.reasons import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lorabay.algebra.updates import Load, Matrix, Update
    from lorabay.base.shapes import BaseShapes
    from lorabay.base.weights import BaseWeights

HEADS = frozenset({"classifier", "score"})
"""Last parts of the names that transformers gives to heads of one layer."""


def head_products(
    updates: Mapping[str, Update], base: BaseShapes, weights: BaseWeights | None, max_rank: int
) -> Mapping[str, LowRank]:
    """Return those of `updates`, by tensor name of the base, that are a head of at most `max_rank`
    labels, as products.

    `weights` are the base's; without them nobody knows what was changed.
    """
    if weights is None:
        return {}

    products: dict[str, LowRank] = {}
    for name, update in updates.items():
        labels = _labels(name, base)
        is_readable = weights.problem(name) is None
        if isinstance(update, Replaced) and is_readable and 0 < labels <= max_rank:
            change = partial(_change, update.values, weights, name)
            products[name] = LowRank(change, partial(_identity, labels), labels, 1.0)
    return products


def head_notes(products: Iterable[str]) -> Iterator[str]:
    """Yield a warning about every head that is served as what was changed of it."""
    for name in products:
        yield (
            f"{quoted(name)}, which was retrained as a whole, is served as its difference from "
            "the base's"
        )


def _labels(name: str, base: BaseShapes) -> int:
    """Return how many labels the base's head has whose weight has this name; 0 if it is none."""
    module = name.removesuffix(".weight")
    shape = base.shapes.get(module)
    is_head = name.endswith(".weight") and module.rpartition(".")[2] in HEADS
    return shape[0] if is_head and shape is not None else 0


def _change(values: Load, weights: BaseWeights, name: str) -> Matrix:
    try:
        change: Matrix = values() - weights.whole(name)
    except SetupError as error:
        raise Unreadable("base_unreadable", error.message) from error
    return change


def _identity(labels: int) -> Matrix:
    return np.eye(labels, dtype=np.float32)
