"""The desk where keys are made and ended while a server runs: the book, and this server's snapshot.

A change holds for this server when its call returns; others notice it within a second. If the
database goes in that moment, a new key opens nothing before it is back. Knows nothing of HTTP.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from lorabay.accounts.keys import book
from lorabay.accounts.keys.book import DEFAULT_OVERLAP_S
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection

    from lorabay.accounts.database.database import Database
    from lorabay.accounts.keys.book import NewKey
    from lorabay.accounts.keys.record import Key
    from lorabay.accounts.keys.snapshot import KeySnapshot
    from lorabay.accounts.keys.wishes import KeyWishes


class KeyDesk:
    """Changes of keys. Every method raises SetupError if the database cannot be used now."""

    def __init__(self, database: Database, snapshot: KeySnapshot) -> None:
        self._database = database
        self._snapshot = snapshot

    async def create(self, wishes: KeyWishes, *, who: str, request_id: str | None = None) -> NewKey:
        """Make a key; raises KeyConflict."""
        return await self._make(partial(book.create, wishes=wishes, who=who, request_id=request_id))

    async def rotate(
        self,
        key: str,
        *,
        who: str,
        request_id: str | None = None,
        overlap_s: int = DEFAULT_OVERLAP_S,
    ) -> NewKey:
        """Give a key a new secret; raises KeyNotFound or KeyConflict."""
        return await self._make(
            partial(book.rotate, key=key, who=who, request_id=request_id, overlap_s=overlap_s)
        )

    async def revoke(self, key: str, *, who: str, request_id: str | None = None) -> Key:
        """End a key for ever; raises KeyNotFound or KeyConflict."""
        work = partial(book.revoke, key=key, who=who, request_id=request_id)
        revoked = await self._database.in_writer(work)
        await self._snapshot.refresh()
        return revoked

    async def listed(self, tenant: str | None = None) -> tuple[Key, ...]:
        """Return all keys, or those of a tenant."""
        return await self._database.in_reader(partial(book.listed, tenant=tenant))

    async def find(self, key: str) -> Key:
        """Return one key; raises KeyNotFound or KeyConflict."""
        return await self._database.in_reader(partial(book.find, key=key))

    async def _make(self, change: Callable[[Connection], NewKey]) -> NewKey:
        made = await self._database.in_writer(change)
        # It is made, also if it cannot be read now: its text is shown once, and here.
        with suppress(SetupError):
            await self._snapshot.refresh()
        return made
