"""A trace: requests in the order in which they come, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Trace:
    """Requests for adapters 0 to `adapters` - 1. All arrays but `load_s` have one entry a request.

    `at_s` are the times at which they come, rising. `takes_s` is how long an engine computes each.
    `session` are the conversations that they belong to. `load_s`, one entry an adapter, is how long
    its weights take to load.
    """

    name: str
    adapters: int
    at_s: Numbers
    adapter: Indices
    session: Indices
    takes_s: Numbers
    load_s: Numbers = field(repr=False)

    def __len__(self) -> int:
        return len(self.at_s)

    @cached_property
    def keys(self) -> list[str]:
        """The adapters' digests."""
        return [sha256(f"adapter {number}".encode()).hexdigest() for number in range(self.adapters)]

    def facts(self) -> dict[str, Any]:
        """Return what describes a trace: requests a second, and the part of the top adapter."""
        counts = np.bincount(self.adapter, minlength=self.adapters)
        length = float(self.at_s[-1] - self.at_s[0]) or 1.0
        return {
            "requests_per_s": len(self) / length,
            "top_share": float(counts.max() / len(self)),
            "used": int(np.count_nonzero(counts)),
        }
