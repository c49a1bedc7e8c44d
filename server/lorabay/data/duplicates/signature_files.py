"""Signatures on disk: one file of short signatures, and one for each band.

Written row by row, read a band at a time; what is read is let go at once, so that memory does not
grow with what was read before.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

import numpy as np

from lorabay.data.duplicates.signatures import BANDS, PLACES, Signer, bands_of, estimate, short

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_BLOCK_ROWS = 1024
_PAIRS_AT_ONCE = 1 << 16


class SignatureFiles:
    """The signatures of rows, in the order in which they were added."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._signer = Signer()
        self._open = ExitStack()
        self._waiting: list[NDArray[np.uint64]] = []

    def __enter__(self) -> Self:
        names = ["places", *(f"band-{band}" for band in range(BANDS))]
        paths = [self._folder / name for name in names]
        self._files = [self._open.enter_context(path.open("w+b")) for path in paths]
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def add(self, grams: NDArray[np.uint64]) -> None:
        """Sign the grams of the next row."""
        self._waiting.append(self._signer.sign(grams))
        if len(self._waiting) >= _BLOCK_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what waits; needed before reading."""
        if not self._waiting:
            return
        places, *bands = self._files
        places.write(np.stack([short(one) for one in self._waiting]).tobytes())
        keys = np.stack([bands_of(one) for one in self._waiting])
        for band, file in enumerate(bands):
            file.write(np.ascontiguousarray(keys[:, band]).tobytes())
        self._waiting.clear()
        for file in self._files:
            file.flush()

    def band(self, number: int) -> NDArray[np.uint64]:
        """Return the key of every row in one band."""
        return np.fromfile(self._folder / f"band-{number}", dtype=np.uint64)

    def estimates(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the estimated similarity of each pair of rows."""
        if not len(first):
            return np.empty(0)
        places = np.memmap(self._folder / "places", dtype=np.uint8, mode="r").reshape(-1, PLACES)
        found = [
            estimate(
                places[first[at : at + _PAIRS_AT_ONCE]], places[second[at : at + _PAIRS_AT_ONCE]]
            )
            for at in range(0, len(first), _PAIRS_AT_ONCE)
        ]
        return np.concatenate(found)
