"""What a failing database is called: an outage with a reason, or a bug."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy.exc import (
    DatabaseError,
    IntegrityError,
    InvalidRequestError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
    TimeoutError as PoolTimeout,
)

from lorabay.accounts.database.addresses import read_address
from lorabay.accounts.database.failures import REASON_CHARS, is_outage, outage

ADDRESS = read_address("postgresql://ada:s3cret@db/lorabay")
CAUSE = sqlite3.OperationalError("database or disk is full\nand more")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OperationalError("SELECT", {}, CAUSE), True),
        (DatabaseError("SELECT", {}, sqlite3.DatabaseError("file is not a database")), True),
        (PoolTimeout("QueuePool limit"), True),
        (IntegrityError("INSERT", {}, sqlite3.IntegrityError("UNIQUE")), False),
        (ProgrammingError("SELEKT", {}, sqlite3.ProgrammingError("syntax")), False),
        (InvalidRequestError("a transaction is already begun"), False),
    ],
)
def test_an_outage_is_no_fault_of_the_statement(error: SQLAlchemyError, expected: bool) -> None:
    """What would fail on any database is a bug and stays one."""
    assert is_outage(error) is expected


def test_the_reason_is_the_drivers_first_line() -> None:
    """Without the statement, its values and the password."""
    error = OperationalError("SELECT s3cret", {"value": "s3cret"}, CAUSE)
    told = outage(error, ADDRESS).message
    assert told == (
        "the database postgresql://ada:***@db/lorabay cannot be used: database or disk is full"
    )


def test_the_reason_is_bounded_and_never_empty() -> None:
    """Whatever a driver says."""
    long = OperationalError("SELECT", {}, sqlite3.OperationalError("x " * 500))
    assert len(outage(long, ADDRESS).message) < REASON_CHARS + 100
    silent = OperationalError("SELECT", {}, sqlite3.OperationalError(""))
    assert outage(silent, ADDRESS).message.endswith("cannot be used: OperationalError")
    busy = outage(PoolTimeout("QueuePool limit of size 5"), ADDRESS)
    assert busy.message.endswith("all connections are busy")
