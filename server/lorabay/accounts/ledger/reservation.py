"""What one request has reserved: a part for each limit that applies to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lorabay.accounts.ledger.scopes import MEASURES, Unit

if TYPE_CHECKING:
    from lorabay.accounts.ledger.scopes import Measure, Scope
    from lorabay.accounts.ledger.share import Charge, Share


@dataclass(slots=True)
class Part:
    """What a request has of one limit of one scope: charges on a share, the oldest first."""

    scope: Scope
    limit: str
    share: Share
    charges: list[Charge] = field(default_factory=list)

    @property
    def measure(self) -> Measure:
        """What the limit counts."""
        return MEASURES[self.limit]

    @property
    def counts_tokens(self) -> bool:
        """Whether it counts tokens, and not requests."""
        return self.measure.unit is Unit.TOKENS

    @property
    def most(self) -> int:
        """The limit."""
        return self.share.counter.limit

    @property
    def amount(self) -> int:
        """What is reserved."""
        return sum(charge.amount for charge in self.charges)

    def shrink(self, amount: int) -> None:
        """Give back what is reserved beyond `amount`, what was taken last first."""
        excess = self.amount - amount
        for charge in reversed(self.charges):
            if excess <= 0:
                return
            rest = min(excess, charge.amount)
            self.share.shrink(charge, charge.amount - rest)
            excess -= rest

    def settle(self, used: int) -> None:
        """End it: `used` counts, what was reserved beyond that does not."""
        charges, self.charges = self.charges, []
        for charge in charges[:-1]:
            counted = min(used, charge.amount)
            self.share.settle(charge, counted)
            used -= counted
        # More may have been used than was reserved.
        if charges:
            self.share.settle(charges[-1], used)


@dataclass(slots=True)
class Reservation:
    """What one request has reserved, in parts; without any, nothing limits it."""

    parts: list[Part] = field(default_factory=list)
    is_ended: bool = False
