"""Signatures of texts by datasketch's MinHash, and the bands by which similar ones meet.

Broder 1997: the share of places in which two signatures agree estimates the similarity. Bands, as
in Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4: two texts of similarity s share
a band with probability 1 - (1 - s^ROWS)^BANDS: 0.9999 at 0.8, 0.87 at 0.6, 0.06 at 0.3.

A band is kept as 64 bits and a place as 8: the estimate is 1/256 too high where nothing agrees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BANDS, ROWS = 25, 5
PLACES = BANDS * ROWS

_SEED = 1
_GRAMS_AT_ONCE = 4096
_FACTORS = np.array(
    [
        0x9E3779B97F4A7C15,
        0xC2B2AE3D27D4EB4F,
        0x165667B19E3779F9,
        0x27D4EB2F165667C5,
        0x85EBCA77C2B2AE63,
    ],
    dtype=np.uint64,
)


class Signer:
    """Makes signatures; the permutations are drawn once."""

    def __init__(self) -> None:
        from datasketch import MinHash

        # The grams are hashes already.
        self._empty: Any = MinHash(num_perm=PLACES, seed=_SEED, hashfunc=int)

    def sign(self, grams: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the PLACES least hashes of a text's grams, each of 32 bits."""
        sketch = self._empty.copy()
        hashes = (grams >> np.uint64(32)).tolist()
        # A long text at once would take a kilobyte a character.
        for start in range(0, len(hashes), _GRAMS_AT_ONCE):
            sketch.update_batch(hashes[start : start + _GRAMS_AT_ONCE])
        return np.asarray(sketch.hashvalues, dtype=np.uint64)


def bands_of(signature: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the key of each band of a signature."""
    products = signature.reshape(BANDS, ROWS) * _FACTORS
    return np.asarray(products.sum(axis=1, dtype=np.uint64))


def short(signature: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return the lowest eight bits of each place, by which similarity is estimated."""
    return signature.astype(np.uint8)


def estimate(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the estimated similarity of each pair of short signatures, one pair a row."""
    return np.asarray((first == second).mean(axis=1))
