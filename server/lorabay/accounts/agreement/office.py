"""The office of the one who keeps the names of a cluster: taken, held, left; and what its holder
writes.

Terms count the holders. Whatever a holder writes is written only while its term lasts: one that was
paused, and has a successor by then, writes nothing. Nobody's clock is compared with another's: a
holder counts its beats, and who waits for its end sees by its own clock that they stop.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sqlalchemy import case, insert, select, update
from sqlalchemy.exc import IntegrityError

from lorabay.accounts.agreement.tables import KEEPERS, NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Connection

NOBODY = ""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who keeps the names, in which term, and its newest beat.

    `newest` is the number of the newest change of a name, `settled` that up to which every server
    that answers knows of them. `identity` is what the servers of the cluster have in common.
    """

    front: str
    term: int
    beat: int
    newest: int
    settled: int
    identity: str = ""


class Deposed(Exception):
    """Another server has taken the office meanwhile, or the row is gone."""


def holder_of(connection: Connection, cluster: str) -> Holder | None:
    """Return who keeps the names of a cluster, or did last; None before the first one."""
    row = connection.execute(select(KEEPERS).where(KEEPERS.c.cluster == cluster)).first()
    if row is None:
        return None
    return Holder(row.front, row.term, row.beat, row.newest, row.settled, row.identity)


def take(
    connection: Connection, cluster: str, front: str, former: Holder | None, identity: str = ""
) -> Holder | None:
    """Take the office after `former`; return what is held, or None if it has moved meanwhile."""
    if former is None:
        first = Holder(front, term=1, beat=0, newest=0, settled=0, identity=identity)
        try:
            with connection.begin_nested():
                connection.execute(insert(KEEPERS).values(cluster=cluster, **asdict(first)))
        except IntegrityError:
            return None
        return first

    taken = connection.execute(
        update(KEEPERS)
        .where(
            KEEPERS.c.cluster == cluster,
            KEEPERS.c.term == former.term,
            KEEPERS.c.beat == former.beat,
            KEEPERS.c.front == former.front,
        )
        .values(front=front, term=former.term + 1, beat=0, identity=identity)
        .returning(KEEPERS.c.newest, KEEPERS.c.settled)
    ).first()
    if taken is None:
        return None
    return Holder(front, former.term + 1, 0, taken.newest, taken.settled, identity)


def beat(connection: Connection, cluster: str, holder: Holder) -> None:
    """Show that the holder is alive; raises Deposed."""
    _write(connection, cluster, holder, beat=KEEPERS.c.beat + 1)


def publish(
    connection: Connection,
    cluster: str,
    holder: Holder,
    told: Mapping[str, str | None],
    after: int,
) -> int:
    """Write what some names mean from now on, and None for one that went, as the change after that
    of the number `after`; return its number.

    Raises Deposed, also if there has been another change: one that was given up may come late.
    """
    number = _write(
        connection, cluster, holder, KEEPERS.c.newest == after, newest=KEEPERS.c.newest + 1
    )
    for name, text in told.items():
        changed = update(NAMES).where(NAMES.c.cluster == cluster, NAMES.c.name == name)
        if connection.execute(changed.values(number=number, told=text)).rowcount == 0:
            fields = {"cluster": cluster, "name": name, "number": number, "told": text}
            connection.execute(insert(NAMES).values(**fields))
    return number


def settle(connection: Connection, cluster: str, holder: Holder, number: int) -> None:
    """Tell that every server knows of the changes up to a number; raises Deposed."""
    newer = case((KEEPERS.c.settled > number, KEEPERS.c.settled), else_=number)
    _write(connection, cluster, holder, settled=newer)


def leave(connection: Connection, cluster: str, holder: Holder) -> None:
    """Leave the office to whoever comes first; raises Deposed."""
    _write(connection, cluster, holder, front=NOBODY)


def _write(
    connection: Connection,
    cluster: str,
    holder: Holder,
    *conditions: ColumnElement[bool],
    **values: object,
) -> int:
    """Change the row of the office while the holder's term lasts; return its newest number."""
    written = connection.execute(
        update(KEEPERS)
        .where(
            KEEPERS.c.cluster == cluster,
            KEEPERS.c.term == holder.term,
            KEEPERS.c.front == holder.front,
            *conditions,
        )
        .values(**values)
        .returning(KEEPERS.c.newest)
    ).first()
    if written is None:
        raise Deposed(cluster)
    return int(written.newest)
