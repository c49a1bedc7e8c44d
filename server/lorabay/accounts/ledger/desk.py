"""The desk where limits are set while a server runs: the table, and this server's rules.

A change holds for this server when its call returns; others notice it within a second. Knows
nothing of HTTP.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lorabay.accounts.ledger.rules_table import read_rules, set_limits

if TYPE_CHECKING:
    from lorabay.accounts.database.database import Database
    from lorabay.accounts.ledger.rule_book import RuleBook
    from lorabay.accounts.ledger.rules import Place, Rules
    from lorabay.accounts.limits import Limits


class LimitDesk:
    """Changes of limits. Every method raises SetupError if the database cannot be used now."""

    def __init__(self, database: Database, rules: RuleBook) -> None:
        self._database = database
        self._rules = rules

    async def listed(self) -> Rules:
        """Return all limits, but those of keys themselves."""
        return await self._database.in_reader(read_rules)

    async def set(
        self, place: Place, limits: Limits, *, who: str, request_id: str | None = None
    ) -> Rules:
        """Set the limits of a place, none at all for none, and return all limits."""
        work = partial(set_limits, place=place, limits=limits, who=who, request_id=request_id)
        await self._database.in_writer(work)
        await self._rules.look()
        return await self.listed()
