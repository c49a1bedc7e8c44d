"""One request's hold on the limits that apply to it, from its arrival to its end.

Reserves an estimate, corrects it when the engine has counted the prompt, and settles it once. Knows
nothing of how limits are kept, nor of HTTP but the names of headers.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lorabay.accounts.ledger.ledger import Unlimited
from lorabay.accounts.ledger.refusals import headers_of
from lorabay.accounts.ledger.reservation import Reservation
from lorabay.api.allowance.estimate import NOTHING, estimate
from lorabay.api.allowance.usual_output import UsualOutput
from lorabay.api.request.json_values import as_number
from lorabay.metrics import BASE_ADAPTER

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.accounts.callers import Caller
    from lorabay.accounts.ledger.ledger import Ledger
    from lorabay.accounts.ledger.rules import Rules
    from lorabay.api.allowance.estimate import Estimate
    from lorabay.catalog.versions import Version
    from lorabay.serving.engine import Body, Call, Usage


class Allowances:
    """What callers may still use on one server.

    `rules` returns the limits as they are now; without it nobody is limited.
    """

    def __init__(
        self, ledger: Ledger | None = None, rules: Callable[[], Rules] | None = None
    ) -> None:
        self.ledger = ledger or Unlimited()
        self._rules = rules
        self.usual = UsualOutput()

    async def reserve(
        self, caller: Caller, version: Version | None, call: Call, body: Body, context: int | None
    ) -> Allowance:
        """Return what one request may use.

        Raises RateLimited, QuotaExceeded, or InvalidRequest if it can never fit.
        """
        adapter = BASE_ADAPTER if version is None else version.adapter
        scopes = () if self._rules is None else self._rules().scopes_of(caller, adapter)
        if not scopes:
            return Allowance(self, adapter)

        guess = self.estimate(version, call, body, context)
        reservation = await self.ledger.reserve(scopes, guess.total, at_least=guess.at_least)
        return Allowance(self, adapter, reservation, guess)

    def estimate(
        self, version: Version | None, call: Call, body: Body, context: int | None
    ) -> Estimate:
        """Return the tokens that a request will take on a base with so long a `context`."""
        adapter = BASE_ADAPTER if version is None else version.adapter
        usual = self._default_of(version) or self.usual.of(adapter)
        return estimate(call, body, context=context, usual_output=usual)

    @staticmethod
    def _default_of(version: Version | None) -> int | None:
        """Return the length of an answer that an adapter sets itself."""
        if version is None:
            return None
        choice = dict(version.defaults.sampling).get("max_tokens")
        return None if choice is None else as_number(choice.value)


class Allowance:
    """What one request has reserved; without limits, nothing."""

    def __init__(
        self,
        allowances: Allowances,
        adapter: str,
        reservation: Reservation | None = None,
        guess: Estimate = NOTHING,
    ) -> None:
        self._allowances = allowances
        self._adapter = adapter
        self._reservation = reservation or Reservation()
        self._guess = guess
        self._correcting = asyncio.Lock()
        self.headers = headers_of(self._reservation)
        """Headers that tell what is left, as it was when the request was let through."""

    async def admit(self, prompt_tokens: int) -> None:
        """Correct the reservation, now that the prompt is counted; raises as `reserve` does.

        Prompts of one request may be counted side by side: each is told of with those before it.
        """
        # One after the other: two that wait at once would each ask for what both need.
        async with self._correcting:
            if self._reservation.parts:
                await self._allowances.ledger.adjust(
                    self._reservation,
                    prompt_tokens + self._guess.output,
                    at_least=prompt_tokens + self._guess.at_least,
                )
                self.headers = headers_of(self._reservation)

    def settle(self, usage: Usage | None, *, was_asked: bool) -> None:
        """Count what the request has cost, if the engine was asked; idempotent."""
        tokens = 0 if usage is None else usage.prompt_tokens + usage.generation_tokens
        if usage is not None and usage.generation_tokens:
            each = usage.generation_tokens // max(1, usage.sequences)
            self._allowances.usual.note(self._adapter, each)

        ledger = self._allowances.ledger
        if was_asked:
            ledger.commit(self._reservation, tokens)
        else:
            ledger.release(self._reservation)
