"""Sums over some seconds: requests, errors, tokens, and how long first tokens took.

Of first tokens a bounded number is kept, chosen by chance, so that a busy hour takes no more memory
than a quiet one.
"""

from __future__ import annotations

import random
from array import array
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SAMPLES = 32
"""First tokens that are kept of one sum."""

FAILED = 400
"""The least status of a request that failed; 499 is a client that left."""

LEFT = 499


class Sums:
    """The sums of one adapter, tenant or key, or of all."""

    __slots__ = ("errors", "first_tokens_s", "requests", "seen", "tokens")

    def __init__(self) -> None:
        self.requests = 0
        self.errors = 0
        self.tokens = 0
        self.seen = 0
        self.first_tokens_s = array("f")

    def add(self, *, code: int, tokens: int, first_token_ms: int | None) -> None:
        """Count one request that has ended."""
        self.requests += 1
        self.errors += code >= FAILED and code != LEFT
        self.tokens += tokens
        if first_token_ms is None:
            return

        # Each of all that were seen is kept with the same chance.
        self.seen += 1
        if len(self.first_tokens_s) < SAMPLES:
            self.first_tokens_s.append(first_token_ms / 1000)
        elif (place := random.randrange(self.seen)) < SAMPLES:
            self.first_tokens_s[place] = first_token_ms / 1000


def told(sums: Iterable[Sums], seconds: float) -> dict[str, Any]:
    """Return several sums as one, over so many seconds, as JSON values."""
    every = tuple(sums)
    first_tokens = sorted(value for one in every for value in one.first_tokens_s)
    return {
        "requests": sum(one.requests for one in every),
        "errors": sum(one.errors for one in every),
        "tokens": sum(one.tokens for one in every),
        "tokens_per_s": round(sum(one.tokens for one in every) / seconds, 2),
        "first_token_p50_s": quantile(first_tokens, 0.5),
        "first_token_p99_s": quantile(first_tokens, 0.99),
    }


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the value below which `share` of the sorted values lie; None if there is none."""
    if not values:
        return None
    return round(values[min(len(values) - 1, int(share * len(values)))], 4)
