"""Rows of the audit as plain values and as CSV, in which no cell is a formula.

Knows nothing of how rows are found.
"""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from lorabay.accounts.usage.forms import as_cell

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lorabay.accounts.audit.chain import Row

COLUMNS = ("number", "at", "who", "action", "target", "detail", "result", "request_id", "hash")


def as_json(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return rows as plain values, each with its hash."""
    return [_values(row) for row in rows]


def as_csv(rows: Iterable[Row]) -> str:
    """Return rows as CSV with a row of names; details are JSON in their cell."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        values = _values(row)
        values["detail"] = json.dumps(values["detail"])
        writer.writerow([as_cell(values[name]) for name in COLUMNS])
    return text.getvalue()


def _values(row: Row) -> dict[str, Any]:
    told = row.as_dict()
    hash_ = row.hash.hex() if isinstance(row.hash, bytes) else None
    values = {name: told.get(name) for name in COLUMNS}
    return values | {"detail": told.get("detail", {}), "hash": hash_}
