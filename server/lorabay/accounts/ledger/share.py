"""What this server may spend of one limit, from memory.

    held by the store's tally = free + open, and what was let through since the last report
    free                        given, and not spent
    open                        reserved and not committed, where that does not count at once
    epochs                      what was let through between two reports; the store stamps each

Everything here is immediate: to take, and to give back, asks nobody. Only `report` and `take_up`
meet the store, and between them more may be taken and given back. Serial, on one event loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.accounts.ledger.tally import Report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.accounts.ledger.tally import Counter, Reply


@dataclass(slots=True)
class Epoch:
    """The time between two reports: what was let through in it, and the bucket it was stamped."""

    amount: int = 0
    is_sent: bool = False
    bucket: int | None = None


@dataclass(slots=True)
class Charge:
    """An amount that one request has taken, in one epoch."""

    epoch: Epoch
    amount: int


class Share:
    """This server's part of one counter."""

    __slots__ = (
        "_epochs",
        "_free",
        "_left",
        "_open",
        "_running",
        "_spent",
        "changed",
        "counter",
        "needs",
        "reset_s",
        "spent_at",
        "told_at",
        "wait_s",
    )

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self._free = 0
        self._open = 0
        self._running = 0
        """Charges that have not ended; each may still turn out to be too little."""
        self._spent: dict[int, int] = {}
        self._epochs = [Epoch()]
        """Those that are not stamped; the last one is going on."""
        self._left = counter.limit

        self.needs: list[int] = []
        """What waiting requests want, the first of them first."""
        self.changed = False
        """Whether there is something to report."""
        self.spent_at = self.told_at = 0.0
        """When something was taken, and reported, last."""
        self.wait_s: float | None = None
        """When the first need that was not met may be, as far as is known."""
        self.reset_s = 0.0
        """When all of the limit will be there again, if nobody uses it."""

    @property
    def held(self) -> int:
        """What the store keeps for this server."""
        return self._free + self._open

    @property
    def free(self) -> int:
        """What can be taken at once."""
        return self._free

    @property
    def left(self) -> int:
        """What nobody uses of the limit, as far as is known."""
        return max(0, self._left + self._free)

    def take(self, amount: int) -> Charge:
        """Return a charge of `amount`, of what is `free`; there must be as much."""
        epoch = self._epochs[-1]
        self._running += 1
        self._free -= amount
        if self.counter.period.counts_at_arrival:
            epoch.amount += amount
        else:
            self._open += amount
        self.changed = True
        return Charge(epoch, amount)

    def shrink(self, charge: Charge, amount: int) -> None:
        """Give back what a charge has beyond `amount`; the charge goes on."""
        rest = charge.amount - amount
        charge.amount = amount
        self.changed = True
        if self.counter.period.counts_at_arrival:
            self._take_back(charge.epoch, rest)
        else:
            self._open -= rest
            self._give(rest)

    def settle(self, charge: Charge, used: int) -> None:
        """End a charge, of which `used` was used; that may be more than it is."""
        rest = charge.amount - used
        self._running -= 1
        self.changed = True
        if self.counter.period.counts_at_arrival:
            self._take_back(charge.epoch, rest)
        else:
            self._open -= charge.amount
            self._give(rest)
            self._count(charge.epoch, used)

    def _give(self, rest: int) -> None:
        """Make `rest` free again; what was used beyond a charge is taken from what is free."""
        self._free = max(0, self._free + rest)

    def _take_back(self, epoch: Epoch, rest: int) -> None:
        """Take `rest` back out of what was counted when it was taken."""
        if epoch.bucket is None:
            epoch.amount -= rest
            # Once it is reported the store takes it for spent, and hears of it by the next report.
            if not epoch.is_sent:
                self._give(rest)
        elif rest < 0:
            # More was used: it counts from now on, as the bucket may have ended meanwhile.
            self._epochs[-1].amount -= rest
        elif epoch.bucket in self._spent:
            self._spent[epoch.bucket] -= rest

    def _count(self, epoch: Epoch, used: int) -> None:
        """Count what was used, in the bucket of its reservation."""
        if epoch.bucket is None:
            epoch.amount += used
        elif used:
            self._spent[epoch.bucket] = self._spent.get(epoch.bucket, 0) + used

    def give_back(self) -> None:
        """Give back what nobody needs here."""
        if self._free > 0:
            self._free = 0
            self.changed = True

    def report(self, now: float) -> Report:
        """Return what the store has to know, and what is needed."""
        fresh = sum(epoch.amount for epoch in self._epochs)
        for epoch in self._epochs:
            epoch.is_sent = True
        self._epochs.append(Epoch())
        self.changed = False
        self.told_at = now
        return Report(self.held, dict(self._spent), fresh, tuple(self._missing()))

    def _missing(self) -> Iterator[int]:
        """Yield what each waiting request lacks, if those before it take what is free."""
        free = self._free
        for need in self.needs:
            yield max(0, need - free)
            free = max(0, free - need)

    def take_up(self, reply: Reply) -> None:
        """Take up the answer to the last report."""
        for epoch in self._epochs[:-1]:
            epoch.bucket = reply.bucket
            self._spent[reply.bucket] = self._spent.get(reply.bucket, 0) + epoch.amount
        self._epochs = self._epochs[-1:]

        self._forget_ended(reply)
        self._free += reply.given
        self._left = reply.left
        self.wait_s = reply.wait_s
        self.reset_s = reply.reset_s

    def _forget_ended(self, reply: Reply) -> None:
        """Drop the buckets that count no longer, as the store does."""
        period, spent = self.counter.period, self._spent
        self._spent = {}
        for bucket, amount in spent.items():
            if period.end(bucket) > reply.now and amount:
                at = min(bucket, reply.bucket)
                self._spent[at] = self._spent.get(at, 0) + amount

    @property
    def is_scarce(self) -> bool:
        """Whether others may be short of what is free here."""
        return self.left < self.counter.limit // 2

    @property
    def is_empty(self) -> bool:
        """Whether nothing would be lost with it."""
        unstamped = any(epoch.amount for epoch in self._epochs)
        has = self._free or self._open or self._running or self._spent
        return not (has or self.changed or unstamped)
