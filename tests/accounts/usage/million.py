"""How long reports over a million rows of usage take, and how long their insertion.

    python -m tests.accounts.usage.million [ROWS] [sqlite|postgres]

writes them into a database that is deleted at the end, and prints how long the report takes: the
function that answers it, and `lorabay usage` from its start to its last line.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from lorabay.accounts.database.database import open_database
from lorabay.accounts.usage.questions import By, Question
from lorabay.accounts.usage.report import report
from lorabay.accounts.usage.tables import insert_usage
from tests.accounts.usage.made import DAY_MS, NOVEMBER_28_MS, a_record
from tests.fixtures.databases import postgres_programs, running_postgres

TOGETHER = 1_000
TENANTS, KEYS, ADAPTERS, DAYS = 10, 50, 20, 365
BY = (By.MONTH, By.KEY, By.ADAPTER)


def measure(url: str, rows: int) -> str:
    """Return the figures for a database, with exchanges of a year."""
    with open_database(url) as database:
        begin = time.perf_counter()
        drawn = random.Random(0)
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

        begin, begin_cpu = time.perf_counter(), time.process_time()
        found = database.read(partial(report, question=Question(BY)))
        report_s, cpu_s = time.perf_counter() - begin, time.process_time() - begin_cpu

    assert found.total.tokens.requests == rows
    return (
        f"{rows:,} rows of usage on {url.partition(':')[0]}: inserted in {inserted_s:.0f} s; "
        f"report by month, key and adapter ({len(found.lines):,} lines) in {report_s:.2f} s, "
        f"{cpu_s:.2f} s of this process"
    )


def by_command(url: str) -> str:
    """Return how long the command takes for the same report."""
    words = ["usage", "--by", ",".join(BY), "--csv"]
    begin = time.perf_counter()
    told = subprocess.run(
        [sys.executable, "-m", "lorabay", *words],
        env=os.environ | {"LORABAY_DATABASE": url},
        capture_output=True,
        check=True,
    )
    took_s = time.perf_counter() - begin
    lines = told.stdout.count(b"\n")
    return f"`lorabay {' '.join(words)}`, {lines:,} lines: {took_s:.2f} s"


@contextmanager
def database_of(kind: str) -> Iterator[str]:
    """Yield the URL of a database that is deleted at the end."""
    if kind == "postgres":
        programs = postgres_programs()
        assert programs is not None, "PostgreSQL is not installed"
        with running_postgres(programs) as server:
            yield server.new_database()
        return

    with TemporaryDirectory() as folder:
        yield f"sqlite:///{Path(folder) / 'accounts.db'}"


if __name__ == "__main__":
    given = sys.argv[1:]
    rows, kind = given + ["1000000", "sqlite"][len(given) :]
    with database_of(kind) as made:
        sys.stdout.write(f"{measure(made, int(rows))}\n{by_command(made)}\n")
