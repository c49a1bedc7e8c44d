"""The limits in the database as a server knows them: read at its start, and followed from then on.

While the database is gone, the limits are those that were read last.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from lorabay.accounts.ledger.rules_table import newest, read_rules
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lorabay.accounts.database.database import Database
    from lorabay.accounts.ledger.rules import Rules

logger = structlog.get_logger(__name__)

LOOK_S = 0.5
"""The time between two looks at whether anything has changed."""


class RuleBook:
    """The rules of `database`. Reads them when it is made, which blocks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._number, self.rules = database.read(_numbered)

    async def follow(self) -> None:
        """Take up changes until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except Exception:  # a bug must not end what follows changes
                logger.exception("bug", what="limits")

    async def look(self) -> None:
        """Take up what has changed; does nothing while the database is gone."""
        try:
            if await self._database.in_reader(newest) != self._number:
                self._number, self.rules = await self._database.in_reader(_numbered)
                logger.info("new limits", count=len(self.rules.limits))
        except SetupError as error:
            logger.debug("the former limits are kept", reason=error.message)


def _numbered(connection: Connection) -> tuple[int, Rules]:
    # The number first: a change that comes between is read again.
    return newest(connection), read_rules(connection)
