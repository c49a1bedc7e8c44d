"""Clusters: rows that must not be in different parts, because one would give another away.

Rows are joined by similarity, by the same question, or by the same customer, and whatever is joined
to one of a cluster belongs to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


class Clusters:
    """Rows in clusters, at first each in its own. Tarjan's union-find, with path halving."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def join(self, first: int, second: int) -> None:
        """Make one cluster of those of two rows."""
        first, second = self._root(first), self._root(second)
        # The lower row is the root, whatever the order of joining.
        self._parents[max(first, second)] = min(first, second)

    def join_pairs(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Join each pair of rows."""
        for first, second in pairs:
            self.join(first, second)

    def join_apart(
        self, firsts: NDArray[np.int64], seconds: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Join pairs of rows, and return for each whether it was in two clusters until then."""
        apart = np.zeros(len(firsts), dtype=np.bool_)
        for place, (first, second) in enumerate(
            zip(firsts.tolist(), seconds.tolist(), strict=True)
        ):
            if self._root(first) != self._root(second):
                self.join(first, second)
                apart[place] = True
        return apart

    def join_equal(self, values: NDArray[np.uint64]) -> None:
        """Join the rows of equal values; 0 stands for none."""
        order = np.argsort(values, kind="stable")
        ordered = values[order]
        same = (ordered[1:] == ordered[:-1]) & (ordered[1:] != 0)
        self.join_pairs(zip(order[:-1][same].tolist(), order[1:][same].tolist(), strict=True))

    def roots(self) -> NDArray[np.int64]:
        """Return the cluster of each row: the number of its lowest row."""
        return np.array([self._root(row) for row in range(len(self._parents))], dtype=np.int64)

    def _root(self, row: int) -> int:
        parents = self._parents
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row
