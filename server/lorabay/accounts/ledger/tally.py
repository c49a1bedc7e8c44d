"""What all servers together have used of one limit, and what each may spend without asking.

    entry of a server      meaning                                            ends
    spent in a bucket      let through then, and counted                      with the bucket
    held until a time      given to the server, which may let it through      by its next report

A server reports all that it knows of its own entry, and asks for more. The report takes the entry's
place, so that one that is sent twice, or again to a store that has lost everything, changes
nothing. What is new is stamped here, with the store's clock and never earlier than it was let
through: no other clock matters. The invariant: whatever is given, what is spent and held by all is
within the limit afterwards.

Pure arithmetic on plain values. Knows nothing of databases.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lorabay.accounts.ledger.periods import PRESENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lorabay.accounts.ledger.periods import Period

LEASE_S = 20.0
"""Time without a report after which a server is taken for dead, and holds nothing any more."""

MINUTE_S = 60.0
"""How long requests of other servers are taken to run on, while nobody can tell."""

OTHERS = "others"
"""The entry of all other servers, where no single one is known."""

AHEAD = 8
"""A server gets this part of a limit beyond its need, as long as half of the limit is left."""


@dataclass(frozen=True, slots=True)
class Counter:
    """One limit that is counted: the name of what it counts, its time, and the most of it."""

    name: str
    period: Period = field(compare=False)
    limit: int = field(compare=False)


@dataclass(slots=True)
class Entry:
    """What one server has spent, by bucket, and what it holds until a moment."""

    held: int = 0
    until: float = 0.0
    spent: dict[int, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All that counts of it."""
        return self.held + sum(self.spent.values())


Tally = dict[str, Entry]
"""The entries of one counter, by server."""


@dataclass(frozen=True, slots=True)
class Report:
    """A server's whole entry, and what it asks for.

    `fresh` was let through since the last report that was answered, and has no bucket yet. `needs`
    are wanted in this order, each whole or not at all.
    """

    held: int = 0
    spent: Mapping[int, int] = field(default_factory=dict)
    fresh: int = 0
    needs: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server is given, and how the limit stands after that.

    `fresh` of the report was stamped with `bucket`. `wait_s` is when the first need that was not
    met may be, None if that depends on what others give back. `was_known` says that the store had
    an entry of the server. `tally` is that of all servers.
    """

    bucket: int
    given: int
    left: int
    now: float
    wait_s: float | None
    reset_s: float
    was_known: bool
    tally: Tally


def settle(tally: Tally, counter: Counter, server: str, report: Report, now: float) -> Reply:
    """Take up a server's report in `tally`, and give it what it needs and the limit allows."""
    period = counter.period
    bucket = period.bucket(now)
    _expire(tally, period, now)

    was_known = server in tally
    entry = Entry(report.held, now + LEASE_S, _current(report.spent, period, now))
    if report.fresh:
        entry.spent[bucket] = entry.spent.get(bucket, 0) + report.fresh
    tally[server] = entry

    left = counter.limit - sum(each.total for each in tally.values())
    given, unmet = _meet(report.needs, left)
    if given:
        given += _ahead(counter, left - given)
    entry.held += given

    left -= given
    wait_s = None if unmet is None else _wait_s(tally, period, unmet - left, now)
    ends = [period.end(at) for each in tally.values() for at in each.spent]
    reset_s = max(ends, default=now) - now
    return Reply(bucket, given, left, now, wait_s, reset_s, was_known, tally)


def _expire(tally: Tally, period: Period, now: float) -> None:
    """Drop what counts no longer, and what dead servers hold."""
    for server, entry in list(tally.items()):
        if entry.until <= now and entry.held:
            if period.counts_at_arrival:
                # The server may have let it through until then.
                bucket = period.bucket(entry.until)
                entry.spent[bucket] = entry.spent.get(bucket, 0) + entry.held
            entry.held = 0
        entry.spent = _current(entry.spent, period, now)
        # One that lives is kept although it is empty: it is counted, and known again.
        if entry.until <= now and not entry.spent:
            del tally[server]


def _current(spent: Mapping[int, int], period: Period, now: float) -> dict[int, int]:
    """Return the buckets that count.

    One in the future was stamped before the clock was set back; it counts as the present one.
    """
    present = period.bucket(now)
    current: dict[int, int] = {}
    for bucket, amount in spent.items():
        if period.end(bucket) > now and amount:
            at = min(bucket, present)
            current[at] = current.get(at, 0) + amount
    return current


def _meet(needs: Sequence[int], left: int) -> tuple[int, int | None]:
    """Return how much the first needs take that are met, and the first that is not."""
    given = 0
    for need in needs:
        if given + need > left:
            return given, need
        given += need
    return given, None


def _ahead(counter: Counter, left: int) -> int:
    """Return what a server is given beyond its need: never what others may be short of."""
    return max(0, min(counter.limit // AHEAD, left - counter.limit // 2))


def _wait_s(tally: Tally, period: Period, missing: int, now: float) -> float | None:
    """Return when buckets will have ended that hold as much as is missing; None if none do."""
    totals: dict[int, int] = {}
    for entry in tally.values():
        for bucket, amount in entry.spent.items():
            totals[bucket] = totals.get(bucket, 0) + amount

    for bucket in sorted(totals):
        missing -= totals[bucket]
        if missing <= 0:
            return period.end(bucket) - now
    return None


def part_of(counter: Counter, tally: Tally, server: str, servers: int, now: float) -> Tally:
    """Return a tally for `server` alone, which cannot ask from `now` on.

    `counter` has its part of the limit; `tally` is what it heard last. In the last minute others
    may have used all that there was: nobody can tell, so they have. Of a day or a month it takes
    its part of what they had used when it heard of it.
    """
    period = counter.period
    if period is PRESENT:
        return {OTHERS: Entry(counter.limit, now + MINUTE_S)}
    if period.counts_at_arrival:
        return {OTHERS: Entry(spent={period.bucket(now): counter.limit})}

    return {
        name: Entry(
            _part(entry.held, servers),
            now + MINUTE_S,
            {bucket: _part(amount, servers) for bucket, amount in entry.spent.items()},
        )
        for name, entry in tally.items()
        if name != server
    }


def _part(amount: int, servers: int) -> int:
    """Return a server's part, rounded up."""
    return -(-amount // servers)


def encode(tally: Tally) -> str:
    """Return a tally as JSON."""
    return json.dumps(
        {name: [entry.held, entry.until, entry.spent] for name, entry in tally.items()},
        separators=(",", ":"),
    )


def decode(text: str | bytes) -> Tally:
    """Return the tally that `encode` wrote."""
    return {
        name: Entry(held, until, {int(bucket): amount for bucket, amount in spent.items()})
        for name, (held, until, spent) in json.loads(text).items()
    }
