"""Reports as CSV and JSON: exact numbers, and no name that a spreadsheet computes."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from lorabay.accounts.usage.forms import as_cell, as_csv, as_json
from lorabay.accounts.usage.questions import By, Line, Question, Report, Tokens

REPORT = Report(
    Question((By.KEY, By.ADAPTER), date(2026, 11, 1)),
    (
        Line(("k-1", "finance"), Tokens(2, 30, 4, 10), Decimal("0.000012")),
        Line(("k-2", "shop"), Tokens(1, 5, 0, 1), Decimal("1.500000")),
    ),
    "EUR",
)
PLAIN = Report(Question((By.TENANT,)), (Line(("acme",), Tokens(1, 2, 0, 3)),))


def test_csv_has_a_row_for_each_line() -> None:
    """Names first; amounts with their currency, as they are told."""
    assert list(csv.reader(io.StringIO(as_csv(REPORT)))) == [
        [
            *("key", "adapter", "requests", "prompt_tokens", "cached_tokens"),
            *("generated_tokens", "amount", "currency"),
        ],
        ["k-1", "finance", "2", "30", "4", "10", "0.000012", "EUR"],
        ["k-2", "shop", "1", "5", "0", "1", "1.500000", "EUR"],
    ]
    assert as_csv(PLAIN).splitlines()[0] == (
        "tenant,requests,prompt_tokens,cached_tokens,generated_tokens"
    )


def test_json_has_the_question_the_lines_and_the_total() -> None:
    """An amount is text: a float would round it."""
    assert as_json(REPORT) == {
        "since": "2026-11-01",
        "until": None,
        "by": ["key", "adapter"],
        "currency": "EUR",
        "lines": [
            {
                "key": "k-1",
                "adapter": "finance",
                "requests": 2,
                "prompt_tokens": 30,
                "cached_tokens": 4,
                "generated_tokens": 10,
                "amount": "0.000012",
            },
            {
                "key": "k-2",
                "adapter": "shop",
                "requests": 1,
                "prompt_tokens": 5,
                "cached_tokens": 0,
                "generated_tokens": 1,
                "amount": "1.500000",
            },
        ],
        "total": {
            "requests": 3,
            "prompt_tokens": 35,
            "cached_tokens": 4,
            "generated_tokens": 11,
            "amount": "1.500012",
        },
    }
    assert json.dumps(as_json(PLAIN))
    assert "currency" not in as_json(PLAIN)


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_a_name_that_looks_like_a_formula_is_text(name: str) -> None:
    """As spreadsheets want it: with an apostrophe in front."""
    report = Report(Question((By.TENANT,)), (Line((name,), Tokens()),))
    _, row = csv.reader(io.StringIO(as_csv(report), newline=""))
    assert row[0] == f"'{name}"


@given(name=st.text(max_size=10))
def test_every_name_comes_back_from_a_csv(name: str) -> None:
    """With commas, quotes and line breaks in it."""
    report = Report(Question((By.TENANT,)), (Line((name,), Tokens()),))
    rows = list(csv.reader(io.StringIO(as_csv(report), newline="")))
    assert rows[1][0] == as_cell(name)
    assert len(rows) == 2
