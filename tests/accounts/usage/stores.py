"""A store of usage in memory, which can be down."""

from __future__ import annotations

import errno
import threading
from collections.abc import Sequence

from lorabay.accounts.usage.records import UsageRecord


class FakeStore:
    """Keeps records by id while it is `up`; with `forgets` it fails once after it has kept some."""

    def __init__(self) -> None:
        self.records: dict[str, UsageRecord] = {}
        self.up = threading.Event()
        self.up.set()
        self.forgets = False

    def insert(self, records: Sequence[UsageRecord]) -> int:
        if not self.up.is_set():
            raise OSError(errno.ECONNREFUSED, "no database")

        new = {record.id: record for record in records if record.id not in self.records}
        self.records |= new
        if self.forgets:
            self.forgets = False
            raise OSError(errno.ECONNRESET, "the connection broke after the commit")
        return len(new)

    def wait_until_up(self) -> None:
        """Wait as a retry does, but not longer than the outage."""
        self.up.wait(5)
