"""What a caller is told whom a limit stops, and how every answer shows what is left."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lorabay.accounts.ledger.periods import DAY, MINUTE, MONTH, PRESENT
from lorabay.accounts.ledger.scopes import Unit
from lorabay.errors import InvalidRequest, QuotaExceeded, RateLimited

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.accounts.ledger.reservation import Part, Reservation

UNKNOWN_WAIT_S = 1.0
"""When to ask again where that depends on the end of other requests."""

MINUTE_S = 60.0
"""The longest wait that OpenAI's clients follow; what a minute's bucket lasts longer is little."""

SHORTEST_WAIT_S = 0.05
"""Asking sooner than the servers tell one another what they have is in vain."""


def too_large(part: Part, amount: int) -> InvalidRequest:
    """Return the error for a request that can never fit; it names the limit and the value."""
    return InvalidRequest(
        f"the request takes {amount} {part.measure.unit}, and {part.scope} may use {part.most} "
        f"(limit `{part.limit}`): ask for fewer tokens, or send a shorter prompt"
    )


def refusal(short: Sequence[Part]) -> RateLimited:
    """Return the error for a request that these parts were too short for."""
    waits = {part.limit: _wait_s(part) for part in short}
    worst = max(short, key=lambda part: waits[part.limit])
    wait_s = waits[worst.limit]
    message = f"{_used(worst)} (limit `{worst.limit}`)"
    headers = {"retry-after-ms": str(math.ceil(wait_s * 1000)), **limit_headers(short)}
    if worst.measure.period in (DAY, MONTH):
        return QuotaExceeded(message, retry_after=wait_s, headers=headers)
    return RateLimited(
        f"{message}: try again in {_duration(wait_s)}", retry_after=wait_s, headers=headers
    )


def _used(part: Part) -> str:
    if part.measure.period is PRESENT:
        return f"{part.scope} may run {part.most} requests at once, and does"
    return f"{part.scope} has used its {part.most} {part.measure.unit} a {part.measure.period.name}"


def _wait_s(part: Part) -> float:
    wait_s = part.share.wait_s
    if wait_s is None:
        return UNKNOWN_WAIT_S
    if part.measure.period is MINUTE:
        wait_s = min(wait_s, MINUTE_S)
    return max(wait_s, SHORTEST_WAIT_S)


def headers_of(reservation: Reservation) -> dict[str, str]:
    """Return the headers that tell what is left of a request's limits; none without limits."""
    return limit_headers(reservation.parts)


def limit_headers(parts: Sequence[Part]) -> dict[str, str]:
    """Return `x-ratelimit-` headers as OpenAI sends them, of each unit's limit nearest its end."""
    headers: dict[str, str] = {}
    for unit in Unit:
        # Of what runs at once there is no time to tell.
        of_unit = [
            part
            for part in parts
            if part.measure.unit is unit and part.measure.period is not PRESENT
        ]
        if not of_unit:
            continue
        nearest = min(of_unit, key=lambda part: part.share.left)
        headers[f"x-ratelimit-limit-{unit}"] = str(nearest.most)
        headers[f"x-ratelimit-remaining-{unit}"] = str(nearest.share.left)
        headers[f"x-ratelimit-reset-{unit}"] = _duration(nearest.share.reset_s)
    return headers


def _duration(seconds: float) -> str:
    """Return a time as OpenAI writes it: 250ms, 12.5s, 6m0s, 2h30m0s."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    if seconds < 60:
        return f"{seconds:.4g}s"

    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s"
