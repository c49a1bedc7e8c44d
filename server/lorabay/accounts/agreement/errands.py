"""Errands: what a server asks the keeper of the names to do, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from lorabay.accounts.agreement.tables import ERRANDS

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


def ask(connection: Connection, cluster: str, front: str, errand: str, question: str) -> None:
    """Leave an errand for the keeper; ids are in the order of their time."""
    fields = {"errand": errand, "cluster": cluster, "front": front, "question": question}
    connection.execute(insert(ERRANDS).values(**fields))


def answer(connection: Connection, errand: str, text: str) -> None:
    """Tell what came of an errand; the first answer counts."""
    open_one = (ERRANDS.c.errand == errand, ERRANDS.c.answer.is_(None))
    connection.execute(update(ERRANDS).where(*open_one).values(answer=text))


def answer_of(connection: Connection, errand: str) -> str | None:
    """Return what came of an errand; None while nothing has."""
    found = select(ERRANDS.c.answer).where(ERRANDS.c.errand == errand)
    return connection.execute(found).scalar_one_or_none()


def forget(connection: Connection, errand: str) -> None:
    """Take an errand back, answered or not."""
    connection.execute(delete(ERRANDS).where(ERRANDS.c.errand == errand))
