"""Reports: the sums that a question asks for, and what they cost."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from functools import partial

import pytest

from lorabay.accounts.database.database import Database
from lorabay.accounts.usage.prices import Price, Prices
from lorabay.accounts.usage.questions import By, Line, Question, Tokens
from lorabay.accounts.usage.report import report
from lorabay.accounts.usage.tables import insert_usage
from tests.accounts.usage.made import DAY_MS, NOVEMBER_28_MS, a_record
from tests.accounts.usage.million import measure


@pytest.fixture
def filled(database: Database) -> Database:
    """A database with usage of two tenants, three adapters and two months."""
    usage = [
        a_record(),
        a_record(key="k-2", adapter="shop", call="completions"),
        a_record(key="k-3", tenant="other", version="0" * 12),
        a_record(started_ms=NOVEMBER_28_MS + 3 * DAY_MS),
        a_record(key="k-3", tenant="other", adapter="__base__", version=""),
    ]
    database.write(partial(insert_usage, records=usage))
    return database


def lines(database: Database, question: Question) -> dict[tuple[str, ...], int]:
    """Return the requests of each line by its labels."""
    found = database.read(partial(report, question=question))
    return {line.labels: line.tokens.requests for line in found.lines}


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ((By.TENANT,), {("acme",): 3, ("other",): 2}),
        (
            (By.KEY, By.ADAPTER),
            {
                ("k-1", "finance"): 2,
                ("k-2", "shop"): 1,
                ("k-3", "__base__"): 1,
                ("k-3", "finance"): 1,
            },
        ),
        ((By.VERSION,), {("",): 1, ("000000000000",): 1, ("3f9c1a2b4d5e",): 3}),
        ((By.CALL,), {("chat",): 4, ("completions",): 1}),
        ((By.DAY,), {("2026-11-28",): 4, ("2026-12-01",): 1}),
        ((By.MONTH, By.TENANT), {("2026-11", "acme"): 2, ("2026-11", "other"): 2,
                                 ("2026-12", "acme"): 1}),
        ((), {(): 5}),
    ],
)  # fmt: skip
def test_lines_are_told_apart_by_what_was_asked(
    filled: Database, by: tuple[By, ...], expected: dict[tuple[str, ...], int]
) -> None:
    """In the order of their labels."""
    found = lines(filled, Question(by))
    assert found == expected
    assert list(found) == sorted(found)


@pytest.mark.parametrize(
    ("question", "requests"),
    [
        (Question(since=date(2026, 11, 29)), 1),
        (Question(until=date(2026, 11, 30)), 4),
        (Question(since=date(2026, 11, 28), until=date(2026, 11, 28)), 4),
        (Question(only={By.TENANT: "acme"}), 3),
        (Question(only={By.TENANT: "acme", By.ADAPTER: "shop"}), 1),
        (Question(only={By.KEY: "' OR 1=1 --"}), 0),
        (Question(only={By.MONTH: "2026-12"}), 1),
    ],
)
def test_only_what_was_asked_counts(filled: Database, question: Question, requests: int) -> None:
    """Days from the first to the last, both included; names as they are."""
    assert sum(lines(filled, question).values()) == requests


def test_a_line_costs_what_its_parts_cost(filled: Database) -> None:
    """Also where the prices differ within it."""
    prices = Prices(
        currency="EUR",
        decimals=2,
        price=(
            Price(prompt=Decimal(10_000), generated=Decimal(0)),
            Price(adapter="shop", prompt=Decimal(100_000), generated=Decimal(1_000)),
        ),
    )
    found = filled.read(partial(report, question=Question((By.TENANT,)), prices=prices))
    assert found.currency == "EUR"
    # acme: two of ten tokens at a hundredth, and ten at a tenth with five at a thousandth.
    assert found.lines == (
        Line(("acme",), Tokens(3, 30, 12, 15), Decimal("1.21")),
        Line(("other",), Tokens(2, 20, 8, 10), Decimal("0.20")),
    )
    assert found.total.amount == Decimal("1.41")


def test_a_database_without_usage_has_no_lines(database: Database) -> None:
    """And a total of nothing."""
    found = database.read(partial(report, question=Question((By.DAY,))))
    assert found.lines == ()
    assert found.total.tokens == Tokens()


def test_reports_over_many_rows_read_the_sums_alone(sqlite_url: str, figures: list[str]) -> None:
    """Figures for few rows; `python -m tests.accounts.usage.million` has them for a million."""
    figures.append(measure(sqlite_url, 5_000))
