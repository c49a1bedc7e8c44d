"""Hashed character n-grams of a text: which short pieces it is made of, in any language.

Chinese has no spaces, and the tokeniser of an English base cuts it into single bytes; pieces of
characters say more there than tokens do. Each piece falls into one of a fixed number of buckets
(feature hashing, Weinberger et al. 2009), so there is no vocabulary to keep.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

BUCKETS = 1 << 15
"""Places for pieces: as many as some thousand training questions have different ones."""

_SHORTEST, _LONGEST = 1, 4
"""Characters of a piece. One alone counts for Chinese only: a letter says nothing."""

_TINY = 1e-6

_SPACES = re.compile(r"\s+")
_DIGITS = re.compile(r"\d+")
_HAN = "\u4e00"


def ngram_counts(text: str) -> NDArray[np.float32]:
    """Return how often the pieces of `text` fall into each bucket, damped, as a unit vector.

    Of no characters it is zero. Width and case of characters do not matter, nor do the digits of a
    number.
    """
    counts = np.zeros(BUCKETS, np.float32)
    places = np.fromiter((_bucket(piece) for piece in _pieces(text)), np.int64)
    np.add.at(counts, places, 1.0)

    damped = np.log1p(counts)
    length = max(float(np.linalg.norm(damped)), _TINY)
    return (damped / length).astype(np.float32, copy=False)


def _pieces(text: str) -> Iterator[str]:
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = _DIGITS.sub("0", _SPACES.sub(" ", plain)).strip()
    if not plain:
        return

    framed = f" {plain} "
    for length in range(_SHORTEST, _LONGEST + 1):
        for first in range(len(framed) - length + 1):
            piece = framed[first : first + length]
            if length > 1 or piece >= _HAN:
                yield piece


def _bucket(piece: str) -> int:
    # Not `hash`, which differs from process to process.
    return zlib.crc32(piece.encode("utf-8", "surrogatepass")) % BUCKETS
