"""Reports of usage as CSV and as JSON.

Amounts are text, as floats would round them. A CSV is opened in spreadsheets, which compute cells
that look like formulas: names that do get an apostrophe in front. Knows nothing of how reports are
made.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lorabay.accounts.usage.questions import Line, Report

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a cell begins with that a spreadsheet may compute."""


def as_json(report: Report) -> dict[str, Any]:
    """Return a report as plain values."""
    question = report.question
    described = {
        "since": question.since and question.since.isoformat(),
        "until": question.until and question.until.isoformat(),
        "by": [by.value for by in question.by],
        "lines": [_values(line, report) for line in report.lines],
        "total": _values(report.total, report),
    }
    return described if report.currency is None else described | {"currency": report.currency}


def as_csv(report: Report) -> str:
    """Return a report as CSV with a row of names; there is no row for the total."""
    text = io.StringIO()
    writer = csv.writer(text)
    names = [*(by.value for by in report.question.by), "requests"]
    names += ["prompt_tokens", "cached_tokens", "generated_tokens"]
    writer.writerow(names if report.currency is None else [*names, "amount", "currency"])
    for line in report.lines:
        values = [as_cell(value) for value in _values(line, report).values()]
        writer.writerow(values if report.currency is None else [*values, report.currency])
    return text.getvalue()


def _values(line: Line, report: Report) -> dict[str, Any]:
    """Return a line by the names of its values; a total has no labels."""
    tokens = line.tokens
    labels = dict(zip((by.value for by in report.question.by), line.labels, strict=False))
    sums = {
        "requests": tokens.requests,
        "prompt_tokens": tokens.prompt,
        "cached_tokens": tokens.cached,
        "generated_tokens": tokens.generated,
    }
    amount = {} if line.amount is None else {"amount": f"{line.amount:f}"}
    return labels | sums | amount


def as_cell(value: object) -> object:
    """Return a value that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value.startswith(FORMULAS):
        return f"'{value}"
    return value
