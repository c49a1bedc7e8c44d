"""Rows that say the same, word for word: of each group all but the first go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def exact_duplicates(
    digests: NDArray[np.uint64], precedence: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows that go, in rising order, and for each the row that stays.

    `digests` has two numbers a row, equal for equal texts. Of equal rows the one of the least
    precedence stays, and of those the first.
    """
    rows = np.arange(len(digests), dtype=np.int64)
    order = np.lexsort((rows, precedence, digests[:, 1], digests[:, 0]))
    ordered = digests[order]

    new = np.concatenate(([True], (ordered[1:] != ordered[:-1]).any(axis=1)))[: len(order)]
    starts = np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
    gone, kept = order[~new], order[starts[~new]]

    by_row = np.argsort(gone)
    return gone[by_row], kept[by_row]
