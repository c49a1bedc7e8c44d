"""What callers may still use: reserved when a request comes, settled once when it has ended.

    reserve     when it comes: an estimate of its tokens, in all limits or in none
    adjust      when its prompt is counted, and nothing is computed yet
    commit      when it has ended, with what the engine counted; or
    release     if nothing of it is to count

An amount counts from the moment at which it was let through. If what is reserved and adjusted is
never less than what is committed, no limit is ever passed: not in any 60 seconds, and not by
several servers together. What is committed beyond it counts, too, and the next requests wait.

Knows nothing of HTTP, and of a request only what it costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lorabay.accounts.ledger.periods import DAY, MONTH, PRESENT
from lorabay.accounts.ledger.refusals import refusal, too_large
from lorabay.accounts.ledger.reservation import Part, Reservation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lorabay.accounts.ledger.scopes import Scope
    from lorabay.accounts.ledger.sharing import Sharing

MOST_ROUNDS = 3
"""Rounds that a request waits for: others may take what came for it."""

DURABLE = (DAY, MONTH)
"""Periods whose counts must not be lost with a server or with Redis."""


class Ledger(Protocol):
    """Keeps what callers may still use."""

    async def reserve(self, scopes: Sequence[Scope], tokens: int, *, at_least: int) -> Reservation:
        """Return a reservation of one request and its tokens, in the limits of all scopes.

        `tokens` is an estimate; `at_least` is what it is sure to want. A guess beyond that takes no
        more than half of a limit. Raises RateLimited, QuotaExceeded, or InvalidRequest if it can
        never fit; then nothing is reserved.
        """
        ...

    async def adjust(self, reservation: Reservation, tokens: int, *, at_least: int) -> None:
        """Change the tokens of a reservation to what is known now, as `reserve` takes them.

        One that ends meanwhile stays ended. Raises what `reserve` raises; then the reservation is
        as it was.
        """
        ...

    def commit(self, reservation: Reservation, tokens: int) -> None:
        """End a reservation: the request counts, with its tokens. Ending it again does nothing."""
        ...

    def release(self, reservation: Reservation) -> None:
        """End a reservation of which nothing counts. Ending it again does nothing."""
        ...


class Unlimited:
    """A ledger for servers that limit nobody."""

    async def reserve(self, scopes: Sequence[Scope], tokens: int, *, at_least: int) -> Reservation:
        """Return a reservation of nothing."""
        return Reservation()

    async def adjust(self, reservation: Reservation, tokens: int, *, at_least: int) -> None:
        """Do nothing."""

    def commit(self, reservation: Reservation, tokens: int) -> None:
        """Do nothing."""

    def release(self, reservation: Reservation) -> None:
        """Do nothing."""


class SharedLedger:
    """A ledger that spends this server's shares, and waits for a round when they are used up.

    `durable` has the shares in what lasts a day or a month, `quick` all others; they may be the
    same. `refused` hears the name of each limit that has refused a request.
    """

    def __init__(
        self,
        quick: Sharing,
        durable: Sharing,
        *,
        refused: Callable[[str], None] = lambda limit: None,
    ) -> None:
        self._quick = quick
        self._durable = durable
        self._refused = refused

    async def reserve(self, scopes: Sequence[Scope], tokens: int, *, at_least: int) -> Reservation:
        """Return a reservation in the limits of all scopes; see `Ledger.reserve`."""
        parts = [
            Part(scope, limit, self._sharing(counter.period).share_of(counter))
            for scope in scopes
            for limit, counter in scope.counters
        ]
        self._check_size(parts, at_least)

        await self._take([(part, _estimated(part, tokens, at_least)) for part in parts])
        return Reservation(parts)

    async def adjust(self, reservation: Reservation, tokens: int, *, at_least: int) -> None:
        """Change the tokens of a reservation to what is known now; see `Ledger.adjust`."""
        parts = [part for part in reservation.parts if part.counts_tokens]
        self._check_size(parts, at_least)

        wanted = [(part, _estimated(part, tokens, at_least)) for part in parts]
        await self._take([(part, max(0, amount - part.amount)) for part, amount in wanted])
        for part, amount in wanted:
            if reservation.is_ended:
                part.settle(0)
            else:
                part.shrink(amount)

    def commit(self, reservation: Reservation, tokens: int) -> None:
        """End a reservation: the request counts, with its tokens."""
        for part in _ended(reservation):
            part.settle(0 if part.measure.period is PRESENT else _amount(part, tokens))

    def release(self, reservation: Reservation) -> None:
        """End a reservation of which nothing counts."""
        for part in _ended(reservation):
            part.settle(0)

    def _sharing(self, period: object) -> Sharing:
        return self._durable if period in DURABLE else self._quick

    def _check_size(self, parts: Sequence[Part], tokens: int) -> None:
        """Raise InvalidRequest for a request that no waiting could let through."""
        for part in parts:
            if _amount(part, tokens) > part.most:
                self._refused(part.limit)
                raise too_large(part, _amount(part, tokens))

    async def _take(self, wanted: Sequence[tuple[Part, int]]) -> None:
        """Add a charge of the wanted amount to every part, or raise and add none."""
        for _ in range(MOST_ROUNDS):
            short = _short(wanted)
            if not short:
                _charge(wanted)
                return

            await self._fill(short)
            # What came for it may have gone to others meanwhile; where there is nothing, none came.
            if any(amount > part.share.left for part, amount in short):
                break

        short = _short(wanted)
        if not short:
            _charge(wanted)
            return

        self._leave_to_others(wanted)
        for part, _ in short:
            self._refused(part.limit)
        raise refusal([part for part, _ in short])

    def _leave_to_others(self, wanted: Sequence[tuple[Part, int]]) -> None:
        """Give back what came for a request that is refused, where others may be short of it."""
        for part, _ in wanted:
            can_have_it = self._sharing(part.measure.period).gives_again
            if can_have_it and part.share.is_scarce and not part.share.needs:
                part.share.give_back()

    async def _fill(self, short: Sequence[tuple[Part, int]]) -> None:
        """Return after a round in which the stores heard what is short."""
        for part, amount in short:
            part.share.needs.append(amount)
        try:
            for sharing in {self._sharing(part.measure.period) for part, _ in short}:
                await sharing.fill()
        finally:
            for part, amount in short:
                part.share.needs.remove(amount)


def _ended(reservation: Reservation) -> list[Part]:
    """Return the parts of a reservation that ends here; none if it has ended before."""
    reservation.is_ended = True
    parts, reservation.parts = reservation.parts, []
    return parts


def _amount(part: Part, tokens: int) -> int:
    """Return what a request with so many tokens takes of a limit."""
    return tokens if part.counts_tokens else 1


def _estimated(part: Part, tokens: int, at_least: int) -> int:
    """Return what to reserve of a limit: a guess takes at most half of it, or else what is sure."""
    return min(_amount(part, tokens), max(_amount(part, at_least), part.most // 2))


def _short(wanted: Sequence[tuple[Part, int]]) -> list[tuple[Part, int]]:
    """Return what cannot be taken at once."""
    return [(part, amount) for part, amount in wanted if amount > part.share.free]


def _charge(wanted: Sequence[tuple[Part, int]]) -> None:
    for part, amount in wanted:
        part.charges.append(part.share.take(amount))
