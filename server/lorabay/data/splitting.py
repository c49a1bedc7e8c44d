"""Which part each cluster goes to: by its digest, by its time, or by where its rows came from.

By digest a row goes to the same part whatever else the input holds, as long as its cluster keeps
its least digest: more data does not move what a model was tested on into what it learns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lorabay.data.inputs import PARTS
from lorabay.data.matching import mixed
from lorabay.errors import SetupError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRAIN, DEV, TEST = range(len(PARTS))

BY = ("cluster", "time", "customer", "parts")
"""What a split can go by."""


@dataclass(frozen=True, slots=True)
class SplitWishes:
    """How large dev and test are, as shares of the rows, and what the split goes by."""

    by: str = "cluster"
    dev: float = 0.05
    test: float = 0.05
    seed: int = 0
    time_field: str | None = None
    customer_field: str | None = None

    def check(self) -> None:
        """Raise UsageError for wishes that cannot be had."""
        if self.by not in BY:
            raise UsageError(f"--split-by {self.by!r}: choose one of {', '.join(BY)}")
        if not (0 <= self.dev < 1 and 0 <= self.test < 1 and self.dev + self.test < 1):
            raise UsageError("--dev and --test are shares from 0 to 1, and leave some for train")
        if self.by == "time" and self.time_field is None:
            raise UsageError("--split-by time needs --time-field: the field that holds the time")
        if self.by == "customer" and self.customer_field is None:
            raise UsageError("--split-by customer needs --customer-field: the field that tells one")


def by_digest(
    roots: NDArray[np.int64], digests: NDArray[np.uint64], wishes: SplitWishes
) -> NDArray[np.int8]:
    """Return the part of each row: that of its cluster's least digest."""
    least = np.full(len(roots), np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(least, roots, digests)

    seed = mixed(np.array([wishes.seed + 1], dtype=np.uint64))
    # 53 bits are all that a float holds.
    places = (mixed(least[roots] ^ seed) >> np.uint64(11)).astype(np.float64) / float(1 << 53)
    return _parts(places, wishes)


def by_time(
    roots: NDArray[np.int64], times: NDArray[np.float64], wishes: SplitWishes
) -> NDArray[np.int8]:
    """Return the part of each row: the newest clusters are test, those before them dev.

    A cluster is as new as its newest row, so that test holds nothing that train has seen.
    """
    newest = np.full(len(roots), -np.inf)
    np.maximum.at(newest, roots, times)

    order = np.lexsort((roots, -newest[roots]))
    before = np.empty(len(roots))
    before[order] = np.arange(len(roots)) / max(len(roots), 1)
    # All rows of a cluster stand together in that order; the first decides.
    first = np.full(len(roots), np.inf)
    np.minimum.at(first, roots, before)
    return _parts(first[roots], wishes)


def _parts(places: NDArray[np.float64], wishes: SplitWishes) -> NDArray[np.int8]:
    parts = np.full(len(places), TRAIN, dtype=np.int8)
    parts[places < wishes.test + wishes.dev] = DEV
    parts[places < wishes.test] = TEST
    return parts


def check_parts(parts: NDArray[np.int8], clusters: int, wishes: SplitWishes) -> None:
    """Raise SetupError for a part that is wished for and has no row."""
    shares = {TRAIN: 1.0, DEV: wishes.dev, TEST: wishes.test}
    for part, share in shares.items():
        if share > 0 and not (parts == part).any():
            raise SetupError(
                f"{PARTS[part]} would be empty: {len(parts)} rows in {clusters} clusters are too "
                "few, or hang together too much; give more rows, another --seed, a larger share "
                "(--dev, --test), or 0 for no such part"
            )
