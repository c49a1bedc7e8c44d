"""Pairs of rows that are likely similar: those that share a band and whose signatures agree.

Rows that share a band are compared with their neighbours in an order of rank, and with the first of
them. So a band that very many rows share takes time in proportion to them, and not to their square;
what is missed there is found when the search is repeated without the rows that went. Of each row
the likeliest pairs are kept, and of all others those that join clusters.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lorabay.data.duplicates.clusters import Clusters
from lorabay.data.duplicates.signatures import BANDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from lorabay.data.duplicates.signature_files import SignatureFiles

NEIGHBOURS = 32
"""Rows after a row, in order of rank, that it is compared with in each band."""

MOST_PAIRS = 32
"""Pairs that are kept of a row with earlier ones, besides those that join clusters."""

Pairs = tuple["NDArray[np.int64]", "NDArray[np.float64]"]
"""Pairs as numbers, `earlier << 32 | later` by rank and in rising order, and their estimates."""


def similar_pairs(
    signatures: SignatureFiles,
    rows: NDArray[np.int64],
    least: float,
    advance: Callable[[int], object],
    joining: float = math.inf,
) -> Pairs:
    """Return the pairs among `rows`, which are given in order of rank, of `least` similarity.

    With them come pairs of `joining` similarity: no more than it takes to join what all such pairs
    join. A pair holds places in `rows`. `advance` is called with 1 after each band.
    """
    clusters = Clusters(len(rows))
    likely = joins = _joined([])
    for band in range(BANDS):
        keys = signatures.band(band)[rows]
        found, joined = [likely], [joins]
        roots = clusters.roots()
        for pairs in _neighbours(keys):
            met = pairs[~_are_in(likely[0], pairs)]
            earlier, later = met >> 32, met & 0xFFFFFFFF
            estimates = signatures.estimates(rows[earlier], rows[later])

            close = np.flatnonzero((estimates >= joining) & (roots[earlier] != roots[later]))
            close = close[clusters.join_apart(earlier[close], later[close])]
            joined.append((met[close], estimates[close]))

            keep = estimates >= least
            found.append((met[keep], estimates[keep]))
        likely, joins = _likeliest(_joined(found)), _joined(joined)
        advance(1)
    return _joined([likely, joins])


def _joined(pairs: Sequence[Pairs]) -> Pairs:
    """Return pairs in rising order, each once."""
    codes = np.concatenate([np.empty(0, dtype=np.int64), *(one for one, _ in pairs)])
    estimates = np.concatenate([np.empty(0), *(one for _, one in pairs)])
    codes, first = np.unique(codes, return_index=True)
    return codes, estimates[first]


def _are_in(ordered: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each value whether it is among those that are given in rising order."""
    if not len(ordered):
        return np.zeros(len(values), dtype=np.bool_)
    place = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return np.asarray(ordered[place] == values)


def _likeliest(pairs: Pairs) -> Pairs:
    """Return the MOST_PAIRS likeliest pairs of each later row, in rising order."""
    codes, estimates = pairs
    if len(codes) <= MOST_PAIRS:
        return pairs

    later = codes & 0xFFFFFFFF
    order = np.lexsort((codes, -estimates, later))
    starts, counts = _runs(later[order])
    place = np.arange(len(codes)) - np.repeat(starts, counts)
    keep = np.sort(order[place < MOST_PAIRS])
    return codes[keep], estimates[keep]


def _runs(ordered: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where equal values begin in an order, and how many there are."""
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    return starts, np.diff(np.append(starts, len(ordered)))


def _neighbours(keys: NDArray[np.uint64]) -> Iterator[NDArray[np.int64]]:
    """Yield numbers for pairs of places with equal keys, each once, the lower place first."""
    # A stable sort: equal keys stay in the order of rank.
    order = np.argsort(keys, kind="stable").astype(np.int64)
    ordered = keys[order]

    for distance in range(1, NEIGHBOURS + 1):
        same = ordered[distance:] == ordered[:-distance]
        if not same.any():
            return
        yield order[:-distance][same] << 32 | order[distance:][same]

    first = np.repeat(*_runs(ordered))
    far = np.arange(len(ordered)) - first > NEIGHBOURS
    if far.any():
        yield order[first[far]] << 32 | order[far]
