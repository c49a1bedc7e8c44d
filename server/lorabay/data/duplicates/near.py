"""Near duplicates: a row goes if one that stays, of a better rank, is as similar.

Every removal is checked on the texts themselves, not on signatures. The search is repeated until
it removes nothing, which is also why what stays is found unchanged the next time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from lorabay.data.duplicates.candidates import similar_pairs
from lorabay.data.matching import jaccard

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lorabay.data.duplicates.candidates import Pairs
    from lorabay.data.duplicates.signature_files import SignatureFiles

MARGIN = 0.15
"""How far below the wanted similarity an estimate may be: four times what it deviates by."""

_REMEMBERED_TEXTS = 4096


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A row that goes, the one that stays for it, and how similar they are."""

    row: int
    kept: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to: the rows that go, those that stay, and pairs among the latter."""

    duplicates: tuple[Duplicate, ...]
    rows: NDArray[np.int64]
    pairs: Pairs


class NearDuplicates:
    """The search; `grams_of` gives the grams of a row's text."""

    def __init__(
        self,
        signatures: SignatureFiles,
        grams_of: Callable[[int], NDArray[np.uint64]],
        similarity: float,
    ) -> None:
        self._signatures = signatures
        self._grams_of = lru_cache(_REMEMBERED_TEXTS)(grams_of)
        self._similarity = similarity
        self._not_similar = np.empty(0, dtype=np.int64)

    def find(
        self, rows: NDArray[np.int64], least: float, advance: Callable[[int], object]
    ) -> Found:
        """Return what goes and what stays of `rows`, which are given in order of rank.

        Pairs join all that is joined by `least` estimated similarity or more.
        """
        duplicates: list[Duplicate] = []
        while True:
            pairs = similar_pairs(self._signatures, rows, self._similarity - MARGIN, advance, least)
            found = self._among(rows, pairs)
            if not found:
                return Found(tuple(duplicates), rows, pairs)

            duplicates.extend(found)
            gone = np.array([one.row for one in found], dtype=np.int64)
            rows = rows[~np.isin(rows, gone)]
            advance = _nothing

    def _among(self, rows: NDArray[np.int64], pairs: Pairs) -> list[Duplicate]:
        codes, estimates = pairs
        likely = codes[estimates >= self._similarity - MARGIN]
        # Most pairs of an earlier search were found not to be similar.
        named = rows[likely >> 32] << 32 | rows[likely & 0xFFFFFFFF]
        likely = likely[~np.isin(named, self._not_similar)]
        # By the later row, so that it is known of every earlier one whether it stays.
        likely = likely[np.lexsort((likely >> 32, likely & 0xFFFFFFFF))]

        gone: set[int] = set()
        found, others = [], []
        for code in likely.tolist():
            kept, row = int(rows[code >> 32]), int(rows[code & 0xFFFFFFFF])
            if kept in gone or row in gone:
                continue

            similarity = jaccard(self._grams_of(kept), self._grams_of(row))
            if similarity >= self._similarity:
                gone.add(row)
                found.append(Duplicate(row, kept, similarity))
            else:
                others.append(kept << 32 | row)
        self._not_similar = np.union1d(self._not_similar, np.array(others, dtype=np.int64))
        return found


def _nothing(_: int) -> None:
    """Take no notice: only the first of several searches is worth a bar."""
