"""How long reports over a million rows of usage take, and how long their insertion.

    python -m tests.accounts.usage.million [ROWS]

writes them into a database of SQLite in a folder that is deleted at the end, and prints a line.
"""

from __future__ import annotations

import random
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from lorabay.accounts.database.database import open_database
from lorabay.accounts.usage.questions import By, Question
from lorabay.accounts.usage.report import report
from lorabay.accounts.usage.tables import insert_usage
from tests.accounts.usage.made import DAY_MS, NOVEMBER_28_MS, a_record

TOGETHER = 1_000
TENANTS, KEYS, ADAPTERS, DAYS = 10, 50, 20, 365


def measure(path: Path, rows: int) -> str:
    """Return the figures for a database at `path`, with exchanges of a year."""
    drawn = random.Random(0)
    with open_database(path) as database:
        begin = time.perf_counter()
        for _ in range(rows // TOGETHER):
            day = drawn.randrange(DAYS)
            keys = [drawn.randrange(KEYS) for _ in range(TOGETHER)]
            some = [
                a_record(
                    key=f"k-{key}",
                    tenant=f"t-{key % TENANTS}",
                    adapter=f"a-{drawn.randrange(ADAPTERS)}",
                    started_ms=NOVEMBER_28_MS - day * DAY_MS,
                )
                for key in keys
            ]
            database.write(partial(insert_usage, records=some))
        inserted_s = time.perf_counter() - begin

        begin = time.perf_counter()
        question = Question((By.MONTH, By.KEY, By.ADAPTER))
        found = database.read(partial(report, question=question))
        report_s = time.perf_counter() - begin

    assert found.total.tokens.requests == rows
    return (
        f"{rows:,} rows of usage on SQLite: inserted in {inserted_s:.0f} s, "
        f"{path.stat().st_size / 2**20:.0f} MiB; report by month, key and adapter "
        f"({len(found.lines):,} lines) in {report_s:.2f} s"
    )


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        figures = measure(Path(folder) / "accounts.db", int((sys.argv[1:] or ["1000000"])[0]))
    sys.stdout.write(f"{figures}\n")
