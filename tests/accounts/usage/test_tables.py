"""Rows and sums of usage: the same record adds nothing the second time, and the sums agree."""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings, strategies as st
from sqlalchemy import delete, select

from lorabay.accounts.database.database import Database
from lorabay.accounts.usage.tables import LABELS, SUMS, USAGE, USAGE_DAYS, insert_usage
from tests.accounts.usage.made import DAY_MS, NOVEMBER_28_MS, a_record, records
from tests.examples import BESIDE_FIXTURES, examples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Table

    from lorabay.accounts.usage.records import UsageRecord


def insert(database: Database, some: Sequence[UsageRecord]) -> int:
    return database.write(partial(insert_usage, records=some))


def rows(database: Database, table: Table) -> list[dict[str, Any]]:
    """Return every row of a table."""

    def read(connection: Connection) -> list[dict[str, Any]]:
        return [dict(row) for row in connection.execute(select(table)).mappings()]

    return database.read(read)


def forget(database: Database) -> None:
    """Delete all usage."""

    def clear(connection: Connection) -> None:
        connection.execute(delete(USAGE))
        connection.execute(delete(USAGE_DAYS))

    database.write(clear)


def expected_sums(some: Sequence[UsageRecord]) -> list[dict[str, Any]]:
    """Return the sums of records by another way: from the rows of the other table."""
    labelled = sorted(
        ("2026-11-28", one.key, one.tenant, one.adapter, one.version, one.call, one.id)
        for one in some
    )
    by_id = {one.id: one for one in some}
    sums = []
    for labels, group in groupby(labelled, key=lambda label: label[:-1]):
        of = [by_id[label[-1]] for label in group]
        totals = (
            len(of),
            sum(one.prompt_tokens for one in of),
            sum(one.cached_tokens for one in of),
            sum(one.generated_tokens for one in of),
        )
        sums.append(dict(zip((*LABELS, *SUMS), (*labels, *totals), strict=True)))
    return sums


def test_a_record_is_a_row(database: Database) -> None:
    """With every field as it was, None included."""
    record = a_record(queue_ms=None, key="ключ '; drop table usage; --")
    assert insert(database, [record]) == 1
    [row] = rows(database, USAGE)
    assert row == {column.name: getattr(record, column.name) for column in USAGE.columns}


@given(
    batches=st.lists(st.lists(st.integers(0, 5), max_size=4).filter(bool), max_size=5),
    pool=st.lists(records(), min_size=6, max_size=6, unique_by=lambda record: record.id),
)
@settings(max_examples=examples(15), suppress_health_check=BESIDE_FIXTURES, deadline=None)
def test_records_that_come_again_add_nothing(
    database: Database, batches: list[list[int]], pool: list[UsageRecord]
) -> None:
    """In any order and any batches: the sums are those of the rows."""
    pool = [clean(record) for record in pool]
    forget(database)
    for batch in batches:
        insert(database, [pool[number] for number in batch])
    there = {number for batch in batches for number in batch}
    assert {row["id"] for row in rows(database, USAGE)} == {pool[number].id for number in there}

    sums = sorted(rows(database, USAGE_DAYS), key=lambda row: [row[name] for name in LABELS])
    assert sums == expected_sums([pool[number] for number in there])


def clean(record: UsageRecord) -> UsageRecord:
    """Return a record without NUL, which is stored without it."""
    names = ("key", "tenant", "adapter")
    return a_record(
        id=record.id,
        prompt_tokens=record.prompt_tokens,
        cached_tokens=record.cached_tokens,
        generated_tokens=record.generated_tokens,
        **{name: getattr(record, name).replace("\0", "") for name in names},
    )


def test_names_that_no_database_takes_are_made_fit(database: Database) -> None:
    """NUL is left out, and what is too long is cut: usage counts all the same."""
    assert insert(database, [a_record(tenant="a\0b", key="k" * 1000)]) == 1
    [row] = rows(database, USAGE)
    assert (row["tenant"], row["key"]) == ("ab", "k" * 255)
    assert rows(database, USAGE_DAYS)[0]["tenant"] == "ab"


@pytest.mark.parametrize(
    ("later_ms", "day"),
    [(0, "2026-11-28"), (DAY_MS - 1, "2026-11-28"), (DAY_MS, "2026-11-29"), (-1, "2026-11-27")],
)
def test_a_day_is_that_of_the_begin_in_utc(database: Database, later_ms: int, day: str) -> None:
    """From midnight to midnight."""
    insert(database, [a_record(started_ms=NOVEMBER_28_MS + later_ms)])
    assert [row["day"] for row in rows(database, USAGE_DAYS)] == [day]


def test_a_batch_beyond_a_statements_parameters_is_inserted(database: Database) -> None:
    """As the importer sends them."""
    assert insert(database, [a_record() for _ in range(2500)]) == 2500
    assert sum(row["requests"] for row in rows(database, USAGE_DAYS)) == 2500
