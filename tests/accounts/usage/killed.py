"""Servers that record usage until they are killed: one after each line on stdin.

    python -m tests.accounts.usage.killed JOURNALS DATABASE

Each is a fork, so that it starts at once. On stdout it says its number, then `recorded` and ids
before it records them, and `committed` and the same ids once the journal has them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lorabay.accounts.database.database import open_database
from lorabay.accounts.usage.importer import Importer
from lorabay.accounts.usage.journal import Journal
from lorabay.accounts.usage.store import DatabaseStore
from lorabay.logs import configure_logging
from tests.accounts.usage.made import a_record

TOGETHER = 20
PATIENCE_S = 30.0


def serve(journals: Path, url: str) -> None:
    """Record usage for ever."""
    importer = Importer(journals, DatabaseStore(open_database(url)), gather=lambda: None)
    journal = Journal(journals, importer.wake, gather=lambda: None)
    importer.follow(journal)
    while True:
        records = [a_record() for _ in range(TOGETHER)]
        ids = " ".join(record.id for record in records)
        say(f"recorded {ids}")
        for record in records:
            journal.add(record)
        if journal.flush(PATIENCE_S):
            say(f"committed {ids}")


def say(line: str) -> None:
    """Write a line in one piece."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


def main() -> None:
    """Start a server at each line, and wait until it has been killed."""
    configure_logging("json", "error")
    journals, url = Path(sys.argv[1]), sys.argv[2]
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            say(f"pid {os.getpid()}")
            serve(journals, url)
        os.waitpid(pid, 0)
        say("ended")


if __name__ == "__main__":
    main()
