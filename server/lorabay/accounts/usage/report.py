"""Answers questions about usage from the sums by day; rows of single exchanges are never read."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, literal_column, select

from lorabay.accounts.usage.questions import By, Line, Report, Tokens
from lorabay.accounts.usage.tables import SUMS, USAGE_DAYS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import ColumnElement, Connection

    from lorabay.accounts.usage.prices import Prices
    from lorabay.accounts.usage.questions import Question


def report(connection: Connection, question: Question, prices: Prices | None = None) -> Report:
    """Return the report that is asked for, as of now."""
    tokens: dict[tuple[str, ...], Tokens] = defaultdict(Tokens)
    exact: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    for labels, tenant, adapter, some in _sums(connection, question):
        tokens[labels] += some
        if prices is not None:
            price = prices.of(tenant, adapter)
            exact[labels] += price.amount(some.prompt, some.cached, some.generated)

    lines = tuple(
        Line(labels, tokens[labels], None if prices is None else prices.rounded(exact[labels]))
        for labels in sorted(tokens)
    )
    return Report(question, lines, None if prices is None else prices.currency)


def _sums(
    connection: Connection, question: Question
) -> Iterable[tuple[tuple[str, ...], str, str, Tokens]]:
    """Yield labels, tenant, adapter and sums: prices may differ within a line of the report."""
    days = USAGE_DAYS.c
    labels = [_column(by) for by in question.by]
    grouping = [*labels, days.tenant, days.adapter]
    statement = select(*grouping, *(func.sum(days[name]) for name in SUMS))
    for condition in _conditions(question):
        statement = statement.where(condition)

    for row in connection.execute(statement.group_by(*grouping)):
        values = tuple(row)
        count = len(labels)
        sums = Tokens(*(int(value) for value in values[count + 2 :]))
        yield tuple(map(str, values[:count])), values[count], values[count + 1], sums


def _conditions(question: Question) -> Iterable[ColumnElement[bool]]:
    if question.since is not None:
        yield USAGE_DAYS.c.day >= question.since.isoformat()
    if question.until is not None:
        yield USAGE_DAYS.c.day <= question.until.isoformat()
    for by, value in question.only.items():
        yield _column(by) == value


def _column(by: By) -> ColumnElement[Any]:
    if by is not By.MONTH:
        return USAGE_DAYS.c[by.value]
    # A day begins with its month: 2026-11-28.
    return func.substr(USAGE_DAYS.c.day, literal_column("1"), literal_column("7"))
