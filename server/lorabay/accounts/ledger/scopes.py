"""What limits apply to: a key, a tenant, an adapter, a key on an adapter; and what each counts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from lorabay.accounts.ledger.periods import DAY, MINUTE, MONTH, PRESENT
from lorabay.accounts.ledger.tally import Counter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.accounts.ledger.periods import Period
    from lorabay.accounts.limits import Limits


class Unit(StrEnum):
    """What is counted of a request."""

    REQUESTS = "requests"
    TOKENS = "tokens"


@dataclass(frozen=True, slots=True)
class Measure:
    """What one limit counts, and over which time."""

    unit: Unit
    period: Period


MEASURES: Mapping[str, Measure] = {
    "requests_per_minute": Measure(Unit.REQUESTS, MINUTE),
    "tokens_per_minute": Measure(Unit.TOKENS, MINUTE),
    "tokens_per_day": Measure(Unit.TOKENS, DAY),
    "tokens_per_month": Measure(Unit.TOKENS, MONTH),
    "parallel": Measure(Unit.REQUESTS, PRESENT),
}
"""What each of the `Limits` counts, by its name."""


class ScopeKind(StrEnum):
    """What a limit may belong to."""

    KEY = "key"
    TENANT = "tenant"
    ADAPTER = "adapter"
    KEY_ON_ADAPTER = "key_on_adapter"


@dataclass(frozen=True)
class Scope:
    """Something with limits; `name` is its id, and for a key on an adapter both, with a slash."""

    kind: ScopeKind
    name: str
    limits: Limits

    @cached_property
    def counters(self) -> tuple[tuple[str, Counter], ...]:
        """The name of each limit that there is, with its counter."""
        return tuple(
            (limit, Counter(f"{self.kind}:{self.name}:{limit}", MEASURES[limit].period, most))
            for limit, most in self.limits.as_dict().items()
            if most is not None
        )

    def __str__(self) -> str:
        words = self.kind.replace("_", " ")
        return f"{words} `{self.name}`"
