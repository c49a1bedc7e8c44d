"""How long texts are: a few numbers and a histogram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LENGTH_STEPS = (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
"""Upper ends of the columns of a histogram, in characters; the last column has no end."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long texts are, in characters; `counts` has one more column than LENGTH_STEPS."""

    median: int
    p95: int
    longest: int
    counts: tuple[int, ...]

    @classmethod
    def of(cls, chars: NDArray[np.int64]) -> Self:
        """Return the lengths of texts; there is at least one."""
        columns = np.searchsorted(np.array(LENGTH_STEPS), chars)
        return cls(
            median=int(np.quantile(chars, 0.5, method="lower")),
            p95=int(np.quantile(chars, 0.95, method="lower")),
            longest=int(chars.max()),
            counts=tuple(np.bincount(columns, minlength=len(LENGTH_STEPS) + 1).tolist()),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return them as plain values."""
        return {
            "median": self.median,
            "p95": self.p95,
            "longest": self.longest,
            "counts": list(self.counts),
        }
