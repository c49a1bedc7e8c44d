"""Versions that the servers over one store hold, so that no other server removes them.

    root/servers/<server>.lock     locked while that server lives
    root/servers/<server>.held     the digests that it holds, one a line
    root/servers/<server>.records  the key of the records that it uses
    root/records/<key>/            modified when a server last used these records

Every method except `close` is called under the store's lock. Knows nothing of what a version or a
record holds.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from lorabay.catalog.versions import Digest
from lorabay.files import durable

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from pathlib import Path


class Holds:
    """Holds of one server, which it keeps until it closes or its process ends."""

    def __init__(self, root: Path) -> None:
        self._servers = root / "servers"
        self._records = root / "records"
        self.server = secrets.token_hex(8)
        self._own_lock = FileLock(self._path("lock"), thread_local=False)
        self._held: set[Digest] = set()

    def open(self) -> None:
        """Appear to other servers as one that lives."""
        self._own_lock.acquire(timeout=0)

    def close(self) -> None:
        """Give up every hold; idempotent."""
        # Before the note goes: from now on nobody keeps the records young.
        self._touch_records(self._path("records"))
        self._own_lock.release()
        for suffix in ("records", "held", "lock"):
            self._path(suffix).unlink(missing_ok=True)

    def add(self, digest: Digest) -> None:
        """Hold one more version; raises OSError if the disk refuses the note."""
        if digest in self._held:
            return
        with self._path("held").open("a") as held:
            held.write(f"\n{digest}")  # a full disk may have cut the line before
        self._held.add(digest)

    def replace(self, digests: AbstractSet[Digest]) -> None:
        """Hold exactly `digests`; raises OSError, and then holds what it held before."""
        lines = "".join(f"{digest}\n" for digest in digests)
        durable.write(self._path("held"), lines, lasting=False)
        self._held = set(digests)

    def of_others(self) -> set[Digest]:
        """Return the versions that other servers hold."""
        held: set[Digest] = set()
        for path in self._servers.glob("*.held"):
            if path.stem != self.server:
                with suppress(FileNotFoundError):  # that server closes right now
                    held |= {Digest(digest) for digest in path.read_text().split()}
        return held

    def forget_dead_servers(self) -> None:
        """Remove the files of servers that live no more."""
        for path in self._servers.iterdir():
            if path.suffix == ".records":
                self._touch_records(path)
            if not self.is_alive(path.stem):
                path.unlink(missing_ok=True)

    def use_records(self, key: str) -> None:
        """Note that this server uses the records of `key`, so that their age counts from its end.

        On a full disk their age counts from now.
        """
        os.utime(self._records / key)
        with suppress(OSError):
            self._path("records").write_text(key)

    def is_alive(self, server: str) -> bool:
        """Return whether a server still runs; a killed one does not, because its lock is free."""
        if server == self.server:
            return True
        path = self._servers / f"{server}.lock"
        if not path.exists():
            return False
        # Whoever can lock it shows that its owner is gone; the system frees a killed one's lock.
        try:
            with FileLock(path, timeout=0):
                return False
        except Timeout:
            return True

    def _touch_records(self, note: Path) -> None:
        """Mark the records that a server's note names as used until now."""
        with suppress(OSError):
            os.utime(self._records / note.read_text())

    def _path(self, suffix: str) -> Path:
        return self._servers / f"{self.server}.{suffix}"
