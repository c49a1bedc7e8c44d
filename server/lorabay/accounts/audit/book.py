"""The book of the audit: adding a row, reading rows, and checking the chain, as work on a
connection.

A row is added in the transaction of the change that it tells of: there is neither without the
other. The counter of rows stays locked until that transaction ends, so that there is one chain,
however many servers write. It is always locked last; two changes never wait for each other.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from lorabay.accounts.audit.chain import BEFORE_ALL, Row, entry_of, hash_of
from lorabay.accounts.audit.tables import AUDIT, AUDIT_CHANGE
from lorabay.accounts.audit.verdict import Anchor, Verdict
from lorabay.accounts.database.changes import count_change, newest_change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection

    from lorabay.accounts.audit.deeds import Deed
    from lorabay.accounts.audit.questions import Question

READ_AT_ONCE = 1000
"""Rows that are in memory at a time."""


def record(connection: Connection, deed: Deed, *, now: float | None = None) -> None:
    """Add a row; to be called last in its transaction."""
    number = count_change(connection, AUDIT_CHANGE)
    former = connection.execute(select(AUDIT.c.hash).where(AUDIT.c.number == number - 1)).scalar()
    # Where somebody took the row before away, nobody is kept from working: `verify` will tell.
    before = former if isinstance(former, bytes) else BEFORE_ALL

    entry = entry_of(number, time.time() if now is None else now, deed)
    row = {"number": number, "entry": entry, "hash": hash_of(before, entry)}
    connection.execute(insert(AUDIT).values(row))


def listed(connection: Connection, question: Question) -> tuple[Row, ...]:
    """Return the rows that a question asks for, the newest first."""
    found: list[Row] = []
    for row in _backwards(connection):
        if question.asks_for(row):
            found.append(row)
        if len(found) == question.limit:
            break
    return tuple(found)


def verify(connection: Connection, anchor: Anchor | None = None) -> Verdict:
    """Return whether every row fits, from the first to the newest.

    With an anchor the row of its number must have its hash, too: it finds a chain that was computed
    anew, or cut off together with the counter.
    """
    newest = newest_change(connection, AUDIT_CHANGE)
    former: object = BEFORE_ALL
    count = 0
    for row in _forwards(connection):
        count += 1
        wrong = _wrong(row, count, newest, former, anchor)
        if wrong is not None:
            broken, reason = wrong
            return Verdict(count, _anchor(count - 1, former), broken, reason)
        former = row.hash

    head = _anchor(count, former)
    if count < newest:
        return Verdict(count, head, count + 1, "the row is missing")
    if anchor is not None and anchor.number > count:
        return Verdict(count, head, count + 1, f"the row is missing: {anchor.number} was noted")
    return Verdict(count, head)


def _wrong(
    row: Row, expected: int, newest: int, former: object, anchor: Anchor | None
) -> tuple[int, str] | None:
    """Return the number of the row that does not fit here, and why; None if it does."""
    if row.number > expected:
        return expected, "the row is missing"
    if row.number < expected or row.number > newest:
        return row.number, "the row was put in"
    if not row.fits(former):
        return row.number, "the row was changed, or the row before was exchanged"
    if anchor is not None and anchor.number == row.number and anchor.hash != _hex(row.hash):
        return row.number, "the row is not the one that was noted"
    return None


def _anchor(number: int, hash_: object) -> Anchor:
    return Anchor(number, _hex(hash_))


def _hex(hash_: object) -> str:
    return hash_.hex() if isinstance(hash_, bytes) else ""


def _forwards(connection: Connection) -> Iterator[Row]:
    columns = select(AUDIT).order_by(AUDIT.c.number).limit(READ_AT_ONCE)
    rows = connection.execute(columns).all()
    while rows:
        yield from (Row(row.number, _plain(row.entry), _plain(row.hash)) for row in rows)
        rows = connection.execute(columns.where(AUDIT.c.number > rows[-1].number)).all()


def _backwards(connection: Connection) -> Iterator[Row]:
    columns = select(AUDIT).order_by(AUDIT.c.number.desc()).limit(READ_AT_ONCE)
    rows = connection.execute(columns).all()
    while rows:
        yield from (Row(row.number, _plain(row.entry), _plain(row.hash)) for row in rows)
        rows = connection.execute(columns.where(AUDIT.c.number < rows[-1].number)).all()


def _plain(value: object) -> object:
    """Return bytes as such: drivers have types of their own for them."""
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else value
