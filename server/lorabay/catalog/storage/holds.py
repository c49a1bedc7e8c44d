"""Versions that the servers over one store hold, so that no other server removes them.

    root/servers/<server>.lock     locked while that server lives
    root/servers/<server>.held     the digests that it holds, one a line
    root/servers/<server>.records  the key of the records that it uses

A note that the disk refused is written again at the next sweep. Every method except `close` is
called under the store's lock, and raises OSError: a disk that does not say who holds what must not
look like a store that nobody uses. Knows nothing of what a version or a record holds.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from lorabay.catalog.storage import disuse
from lorabay.catalog.versions import Digest
from lorabay.files import durable

if TYPE_CHECKING:
    from collections.abc import Iterator, Set as AbstractSet
    from pathlib import Path


class Holds:
    """Holds of one server, which it keeps until it closes or its process ends."""

    def __init__(self, root: Path) -> None:
        self._servers = root / "servers"
        self._records = root / "records"
        self.server = secrets.token_hex(8)
        self._own_lock = FileLock(self._path("lock"), thread_local=False)
        self._held: set[Digest] = set()
        self.key: str | None = None
        """Of the records that this server uses."""
        self._key_is_noted = False

    def open(self) -> None:
        """Appear to other servers as one that lives."""
        self._own_lock.acquire(timeout=0)

    def close(self) -> None:
        """Give up every hold; idempotent. What the disk does not let go, a sweep removes."""
        with suppress(OSError):
            # Before the note goes: until now these records were used.
            if self.key is not None:
                disuse.note_used(self._records / self.key)
        self._own_lock.release()
        for suffix in ("records", "held", "lock"):
            with suppress(OSError):
                self._path(suffix).unlink(missing_ok=True)

    def add(self, *digests: Digest) -> None:
        """Hold further versions; raises OSError if the disk refuses the note."""
        new = [digest for digest in dict.fromkeys(digests) if digest not in self._held]
        if not new:
            return
        with self._path("held").open("a") as held:
            # A full disk may have cut the line before.
            held.write("".join(f"\n{digest}" for digest in new))
        self._held.update(new)

    def replace(self, digests: AbstractSet[Digest]) -> None:
        """Hold exactly `digests`; raises OSError, and then holds what it held before."""
        self._note_key()
        lines = "".join(f"{digest}\n" for digest in digests)
        durable.write(self._path("held"), lines, lasting=False)
        self._held = set(digests)

    def of_others(self) -> set[Digest]:
        """Return the versions that other servers hold."""
        held: set[Digest] = set()
        for text in self._notes("held", but=self.server):
            held.update(Digest(digest) for digest in text.split())
        return held

    def forget_dead_servers(self) -> None:
        """Remove the files of servers that live no more."""
        for path in self._servers.iterdir():
            if not self.is_alive(path.stem):
                path.unlink(missing_ok=True)

    def use_records(self, key: str) -> None:
        """Note that this server uses the records of `key`, which keeps them."""
        self.key, self._key_is_noted = key, False
        disuse.note_used(self._records / key)
        with suppress(OSError):
            self._note_key()

    def keys_in_use(self) -> set[str]:
        """Return the keys of the records that servers use, or used until they died."""
        own = set() if self.key is None else {self.key}
        return own.union(self._notes("records"))

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

    def _notes(self, suffix: str, *, but: str = "") -> Iterator[str]:
        # Not `glob`, for which a folder that it may not list is an empty one.
        for path in self._servers.iterdir():
            if path.suffix == f".{suffix}" and path.stem != but:
                with suppress(FileNotFoundError):  # that server closes right now
                    yield path.read_text(errors="replace")

    def _note_key(self) -> None:
        if self.key is not None and not self._key_is_noted:
            durable.write(self._path("records"), self.key, lasting=False)
            self._key_is_noted = True

    def _path(self, suffix: str) -> Path:
        return self._servers / f"{self.server}.{suffix}"
