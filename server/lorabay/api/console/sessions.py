"""Sessions of people at the console: who has shown a key, and is believed for half a day.

A session remembers the header that its owner came with, and not who that was: it is asked again at
each request, so a key that is taken back, or a token that ends, ends its sessions. They are kept in
memory alone. Knows nothing of cookies.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import TYPE_CHECKING, NamedTuple

from starlette.datastructures import Headers

if TYPE_CHECKING:
    from collections.abc import Callable

LASTS_S = 12 * 3600.0
"""How long a session lasts."""

MOST = 1000
"""Sessions that are kept at most; the oldest goes first."""

ID_BYTES = 32


class Session(NamedTuple):
    """What its owner came with, and when it ends, by the sessions' clock."""

    headers: Headers
    ends_at: float


class Sessions:
    """The sessions of one server."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Oldest first; by digest, so that a look at the memory's keys tells no id.
        self._by_digest: dict[bytes, Session] = {}

    def begin(self, authorization: str) -> str:
        """Return the id of a new session, for whoever came with this header `authorization`."""
        self._forget_old()
        name = secrets.token_urlsafe(ID_BYTES)
        headers = Headers({"authorization": authorization})
        self._by_digest[_digest(name)] = Session(headers, self._clock() + LASTS_S)
        return name

    def find(self, name: str) -> Headers | None:
        """Return what the owner of a session came with; None if there is no such session."""
        session = self._by_digest.get(_digest(name))
        if session is None or session.ends_at <= self._clock():
            return None
        return session.headers

    def end(self, name: str) -> None:
        """End a session; idempotent."""
        self._by_digest.pop(_digest(name), None)

    def _forget_old(self) -> None:
        """Make room for one more, and drop what has ended."""
        now = self._clock()
        ended = [key for key, session in self._by_digest.items() if session.ends_at <= now]
        for key in ended:
            del self._by_digest[key]
        while len(self._by_digest) >= MOST:
            del self._by_digest[next(iter(self._by_digest))]


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
