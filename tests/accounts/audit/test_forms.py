"""The audit as JSON and as CSV."""

from __future__ import annotations

import csv
import io

from lorabay.accounts.audit.chain import Row, entry_of
from lorabay.accounts.audit.deeds import Deed
from lorabay.accounts.audit.forms import COLUMNS, as_csv, as_json

DEED = Deed("cli:ada", "adapter.pinned", "=cmd()", {"a": "\n"}, "-1", "@r")
ROWS = (Row(2, entry_of(2, 0.0, DEED), bytes(32)), Row(1, b"\xff", None))


def test_json_has_every_column_of_every_row() -> None:
    """Also of one that cannot be read."""
    good, bad = as_json(ROWS)
    assert tuple(good) == tuple(bad) == COLUMNS
    assert good["hash"] == "00" * 32
    assert bad == dict.fromkeys(COLUMNS) | {
        "number": 1,
        "detail": {},
        "result": "this row cannot be read",
    }


def test_csv_has_no_formula() -> None:
    """Whatever clients call themselves and their adapters."""
    names, good, bad = csv.reader(io.StringIO(as_csv(ROWS)))
    assert names == list(COLUMNS)
    cells = dict(zip(names, good, strict=True))
    assert cells["target"] == "'=cmd()"
    assert cells["detail"] == '{"a": "\\n"}'
    assert (cells["result"], cells["request_id"]) == ("'-1", "'@r")
    assert bad[0] == "1"
