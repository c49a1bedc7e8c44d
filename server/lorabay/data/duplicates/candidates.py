"""Pairs of rows that are likely similar: those that share a band and whose signatures agree.

Rows that share a band are compared with their neighbours in an order of rank, and with the first of
them. So a band that very many rows share takes time in proportion to them, and not to their square;
what is missed there is found when the search is repeated without the rows that went.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lorabay.data.duplicates.signatures import BANDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from lorabay.data.duplicates.signature_files import SignatureFiles

NEIGHBOURS = 32
"""Rows after a row, in order of rank, that it is compared with in each band."""

Pairs = tuple["NDArray[np.int64]", "NDArray[np.float64]"]
"""Pairs as numbers, `earlier << 32 | later` by rank and in rising order, and their estimates."""


def similar_pairs(
    signatures: SignatureFiles,
    rows: NDArray[np.int64],
    least: float,
    advance: Callable[[int], object],
) -> Pairs:
    """Return the pairs among `rows`, which are given in order of rank, of `least` similarity.

    A pair holds places in `rows`. `advance` is called with 1 after each band.
    """
    codes = np.empty(0, dtype=np.int64)
    estimates = np.empty(0)
    for band in range(BANDS):
        keys = signatures.band(band)[rows]
        for met in _neighbours(keys):
            new = np.setdiff1d(met, codes, assume_unique=True)
            likely = signatures.estimates(rows[new >> 32], rows[new & 0xFFFFFFFF])
            keep = likely >= least
            codes = np.concatenate((codes, new[keep]))
            estimates = np.concatenate((estimates, likely[keep]))
        advance(1)

    order = np.argsort(codes)
    return codes[order], estimates[order]


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

    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    first = np.repeat(starts, np.diff(np.append(starts, len(ordered))))
    far = np.arange(len(ordered)) - first > NEIGHBOURS
    if far.any():
        yield order[first[far]] << 32 | order[far]
