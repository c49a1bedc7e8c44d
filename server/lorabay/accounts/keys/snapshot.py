"""The keys as the database had them last: what requests are answered from.

A task asks four times a second whether a key has changed, which is one short statement in a thread,
and takes up the changed ones. While the database does not answer, the keys that are known stay what
they are, for a bounded time. `identify` and all of its answers come from memory.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import structlog

from lorabay.accounts.database.changes import newest_change
from lorabay.accounts.keys.book import changed_since
from lorabay.accounts.keys.key_form import read_key
from lorabay.accounts.keys.record import KEYS_CHANGE, shown_time
from lorabay.errors import InvalidApiKey, SetupError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection

    from lorabay.accounts.callers import Caller
    from lorabay.accounts.database.database import Database
    from lorabay.accounts.keys.key_form import SentKey
    from lorabay.accounts.keys.record import Key

logger = structlog.get_logger(__name__)

POLL_S = 0.25
"""Time between two looks at the database: a key that was revoked opens nothing a second later."""

RETRY_AFTER_S = 5.0


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is kept of a key: its hashes, its end, and who sends it."""

    caller: Caller
    secret_hash: bytes = field(repr=False)
    former_hash: bytes = field(repr=False)
    former_until: int
    expires_at: int | None
    revoked_at: int | None

    def fits(self, sent: SentKey, now: float) -> bool:
        """Return whether the secret is this key's; compares both in every case."""
        fits = hmac.compare_digest(self.secret_hash, sent.secret_hash)
        fits_former = hmac.compare_digest(self.former_hash, sent.secret_hash)
        return fits or (fits_former and now < self.former_until)


@dataclass(frozen=True, slots=True)
class _News:
    """What has changed since a change of the number `since`; everything if that is None."""

    since: int | None
    newest: int
    keys: tuple[Key, ...]


class KeySnapshot:
    """The keys of a database. Belongs to one event loop; `load` comes first, and blocks.

    `max_age_s` is how long keys are taken after the database has last answered. `clock` counts
    seconds that pass, `wall` is the time by which keys end.
    """

    def __init__(
        self,
        database: Database,
        *,
        max_age_s: float,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._max_age_s = max_age_s
        self._clock = clock
        self._wall = wall
        self._entries: dict[str, _Entry] = {}
        self._newest: int | None = None
        self._read_at = clock()
        self._is_failing = False

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def age_s(self) -> float:
        """Seconds since the database has last answered."""
        return self._clock() - self._read_at

    def identify(self, text: str) -> Caller:
        """Return who sends the key `text`.

        Raises InvalidApiKey for a key that is mistyped, unknown, expired or revoked, and
        StorageUnavailable if the database has not answered for too long.
        """
        sent = read_key(text)
        if sent is None:
            raise InvalidApiKey("The API key is mistyped or cut off: its checksum does not fit.")
        if self.age_s > self._max_age_s:
            raise StorageUnavailable(
                "keys cannot be checked now; the server's log has the details",
                retry_after=RETRY_AFTER_S,
            )

        now = self._wall()
        entry = self._entries.get(sent.id)
        if entry is None or not entry.fits(sent, now):
            raise InvalidApiKey("This server does not know the API key, or no longer.")
        # Who holds the secret may know why it opens nothing.
        if entry.revoked_at is not None:
            raise InvalidApiKey(f"The API key was revoked at {shown_time(entry.revoked_at)}.")
        if entry.expires_at is not None and now >= entry.expires_at:
            raise InvalidApiKey(f"The API key expired at {shown_time(entry.expires_at)}.")
        return entry.caller

    def load(self) -> None:
        """Read all keys. Blocks; raises SetupError."""
        self._take_up(self._database.read(partial(_news, since=None)))

    async def refresh(self) -> None:
        """Take up what has changed; raises SetupError if the database does not answer."""
        is_taken_up = False
        while not is_taken_up:
            news = await self._database.in_reader(partial(_news, since=self._newest))
            is_taken_up = self._take_up(news)

    async def follow(self) -> None:
        """Take up changes until cancelled; the log tells when the database goes and comes back."""
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self.refresh()
            except SetupError as error:
                self._note_failure(error.message)
            except Exception:  # a bug must not end the revocation of keys
                logger.exception("bug", what="keys")

    def _take_up(self, news: _News) -> bool:
        """Take up news, and return True; False if they do not follow what is known."""
        # Another look came in between, and what it saw may be newer, or older.
        if news.since is not None and news.since != self._newest:
            return False

        if news.since is None:
            self._entries = {}
        for key in news.keys:
            self._entries[key.id] = _entry_of(key)
        self._newest = news.newest
        self._read_at = self._clock()
        if self._is_failing:
            self._is_failing = False
            logger.info("the database of keys answers again")
        return True

    def _note_failure(self, reason: str) -> None:
        if not self._is_failing:
            logger.warning(
                "keys are checked from memory", reason=reason, for_s=round(self._max_age_s)
            )
        self._is_failing = True


def _news(connection: Connection, since: int | None) -> _News:
    """Return what has changed behind `since`, or everything."""
    newest = newest_change(connection, KEYS_CHANGE)
    if newest == since:
        return _News(since, newest, ())

    # A database that was restored from a copy counts anew: what is known of it does not hold.
    if since is None or newest < since:
        return _News(None, newest, changed_since(connection, -1))
    return _News(since, newest, changed_since(connection, since))


def _entry_of(key: Key) -> _Entry:
    return _Entry(
        caller=key.caller(),
        secret_hash=key.secret_hash,
        former_hash=key.former_hash or b"",
        former_until=key.former_until or 0,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
    )
