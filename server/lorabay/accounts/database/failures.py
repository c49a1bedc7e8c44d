"""What a database's failure means: one line for people, without passwords or statements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
    SQLAlchemyError,
    TimeoutError as PoolTimeout,
)

from lorabay.accounts.database.addresses import shown
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

REASON_CHARS = 200

_OURS = (IntegrityError, ProgrammingError, DataError, NotSupportedError)
"""Failures of a statement, not of the database: the same statement would fail anywhere."""


def is_outage(error: SQLAlchemyError) -> bool:
    """Return whether the database is why: it is gone, locked, full, read-only, or too slow."""
    if isinstance(error, _OURS):
        return False
    return isinstance(error, DBAPIError | PoolTimeout)


def outage(error: SQLAlchemyError, address: URL) -> SetupError:
    """Return what to tell about a database that cannot be used."""
    return SetupError(f"the database {shown(address)} cannot be used: {_reason(error)}")


def _reason(error: SQLAlchemyError) -> str:
    if isinstance(error, PoolTimeout):
        return "all connections are busy"

    # The driver's own words; SQLAlchemy adds the statement and its values.
    told = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    lines = [line for line in told.splitlines() if line.strip()]
    reason = " ".join(lines[0].split()) if lines else type(error).__name__
    return reason[:REASON_CHARS]
