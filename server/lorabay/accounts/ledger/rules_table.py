"""The limits of tenants, adapters, and keys on adapters in the database, and their changes, which
are written to the audit in the same transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Column, String, Table, delete, insert, select

from lorabay.accounts.audit.book import record
from lorabay.accounts.audit.deeds import Deed
from lorabay.accounts.database.changes import count_change, newest_change
from lorabay.accounts.database.metadata import METADATA
from lorabay.accounts.ledger.rules import Rules
from lorabay.accounts.ledger.scopes import ScopeKind
from lorabay.accounts.limits import LIMIT_NAMES, UNLIMITED, Limits

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lorabay.accounts.ledger.rules import Place

LIMITS = Table(
    "limits",
    METADATA,
    Column("kind", String(16), primary_key=True),
    Column("name", String(255), primary_key=True),
    *(Column(name, BigInteger) for name in LIMIT_NAMES),
)

CHANGE = "limits"


def set_limits(
    connection: Connection,
    place: Place,
    limits: Limits,
    *,
    who: str,
    request_id: str | None = None,
) -> None:
    """Set the limits of a place, in place of those that it had; none at all remove it."""
    # First: its row is locked, so that what the limits were is still true at the end.
    count_change(connection, CHANGE)
    kind, name = place
    former = read_rules(connection).limits.get(place, UNLIMITED)
    connection.execute(delete(LIMITS).where(LIMITS.c.kind == str(kind), LIMITS.c.name == name))
    if limits:
        row = {"kind": str(kind), "name": name, **limits.as_dict()}
        connection.execute(insert(LIMITS).values(row))

    detail = {"former": _told(former), "limits": _told(limits)}
    target = f"{kind}:{name}"
    record(connection, Deed(who, "limits.set", target, detail, request_id=request_id))


def read_rules(connection: Connection) -> Rules:
    """Return all limits."""
    rows = connection.execute(select(LIMITS).order_by(LIMITS.c.kind, LIMITS.c.name)).mappings()
    return Rules(
        {
            (ScopeKind(row["kind"]), row["name"]): Limits(
                **{name: row[name] for name in LIMIT_NAMES}
            )
            for row in rows
        }
    )


def newest(connection: Connection) -> int:
    """Return the number of the newest change of limits."""
    return newest_change(connection, CHANGE)


def _told(limits: Limits) -> dict[str, int]:
    return {name: limit for name, limit in limits.as_dict().items() if limit is not None}
