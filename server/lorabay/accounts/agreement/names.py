"""What names mean, as whoever follows reads it, and which servers answer for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from lorabay.accounts.agreement.office import holder_of
from lorabay.accounts.agreement.tables import ERRANDS, FRONTS, NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.engine import Connection

    from lorabay.accounts.agreement.office import Holder


@dataclass(frozen=True, slots=True)
class Front:
    """A server that answers: its newest beat, and the number of the newest change it knows."""

    beat: int
    seen: int


@dataclass(frozen=True, slots=True)
class View:
    """One look at a cluster: who keeps the names, who answers, what has changed and is asked.

    `told` has the names that have changed behind the number asked for, in their order; `errands`
    those that wait for the keeper.
    """

    holder: Holder | None
    fronts: Mapping[str, Front]
    told: Mapping[str, str | None]
    errands: Mapping[str, str]


def look(connection: Connection, cluster: str, *, since: int, with_errands: bool) -> View:
    """Return how a cluster is now, with what has changed behind the number `since`."""
    holder = holder_of(connection, cluster)
    fronts = connection.execute(select(FRONTS).where(FRONTS.c.cluster == cluster)).all()
    told: dict[str, str | None] = {}
    if holder is not None and holder.newest > since:
        changed = select(NAMES).where(NAMES.c.cluster == cluster, NAMES.c.number > since)
        for row in connection.execute(changed.order_by(NAMES.c.number, NAMES.c.name)):
            told[row.name] = row.told
    return View(
        holder,
        {row.front: Front(row.beat, row.seen) for row in fronts},
        told,
        _waiting(connection, cluster) if with_errands else {},
    )


def _waiting(connection: Connection, cluster: str) -> dict[str, str]:
    rows = connection.execute(
        select(ERRANDS)
        .where(ERRANDS.c.cluster == cluster, ERRANDS.c.answer.is_(None))
        .order_by(ERRANDS.c.errand)
    )
    return {row.errand: row.question for row in rows}


def report(connection: Connection, cluster: str, front: str, seen: int) -> None:
    """Show that a server is alive, and what it knows."""
    alive = update(FRONTS).where(FRONTS.c.front == front)
    if connection.execute(alive.values(beat=FRONTS.c.beat + 1, seen=seen)).rowcount == 0:
        connection.execute(insert(FRONTS).values(front=front, cluster=cluster, beat=0, seen=seen))


def withdraw(connection: Connection, front: str) -> None:
    """Wait for a server no more: it has ended, or has been silent for too long."""
    connection.execute(delete(FRONTS).where(FRONTS.c.front == front))
    connection.execute(delete(ERRANDS).where(ERRANDS.c.front == front))
