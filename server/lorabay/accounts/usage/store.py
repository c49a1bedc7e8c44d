"""Usage in the accounts' database: what the importer inserts, and the answers to questions."""

from __future__ import annotations

import errno
from functools import partial
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import SQLAlchemyError

from lorabay.accounts.usage.report import report
from lorabay.accounts.usage.tables import insert_usage
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.accounts.database.database import Database
    from lorabay.accounts.usage.prices import Prices
    from lorabay.accounts.usage.questions import Question, Report
    from lorabay.accounts.usage.records import UsageRecord

logger = structlog.get_logger(__name__)


class DatabaseStore:
    """The usage in `database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, records: Sequence[UsageRecord]) -> int:
        """Insert those records that are not there yet, and return how many those were.

        Blocks. Raises OSError if the database does not take them now. A record that it never takes
        is left out and logged: the others must not wait for it.
        """
        try:
            return self._database.write(partial(insert_usage, records=records))
        except SetupError as error:
            raise ConnectionError(errno.ENOTCONN, error.message) from error
        except SQLAlchemyError as error:
            if len(records) > 1:
                return sum(self.insert([record]) for record in records)
            # Not with the statement: it holds the row, and a record's id is enough to find it.
            reason = type(error).__name__
            logger.error("usage that no database takes", id=records[0].id, reason=reason)
            return 0

    def answer(self, question: Question, prices: Prices | None = None) -> Report:
        """Return the report for a question. Blocks; raises SetupError if the database is gone."""
        return self._database.read(partial(report, question=question, prices=prices))
