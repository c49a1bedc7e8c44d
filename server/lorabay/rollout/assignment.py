"""Which clients a canary answers: a pure function of who asks.

Every client has a place between 0 and 1, which a hash gives it for this adapter and this canary.
The canary has all places below its share. So nobody flips back and forth, and while the share
grows, nobody leaves the canary. Another canary gives other places: not always the same clients go
first.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

_BITS = 53
"""Bits of a hash that a float holds exactly."""


class By(StrEnum):
    """What keeps a client with its version."""

    KEY = "key"
    """The API key: all requests of a key get the same version."""

    USER = "user"
    """The user that a request names, among those of its tenant; without one, the key."""

    SESSION = "session"
    """The session that a request names; without one, its user, and then its key."""


@dataclass(frozen=True, slots=True)
class Client:
    """Who sends a request: the id of a key, its tenant, and what the request says of itself."""

    key: str
    tenant: str
    user: str | None = None
    session: str | None = None


def identity(client: Client, by: By) -> str:
    """Return what stays the same over the requests of a client."""
    if by is By.SESSION and client.session:
        return f"session\0{client.tenant}\0{client.session}"
    if by is not By.KEY and client.user:
        return f"user\0{client.tenant}\0{client.user}"
    return f"key\0{client.key}"


def place(line: str, who: str) -> float:
    """Return the place of a client, from 0 to just below 1; `line` names adapter and canary."""
    content = f"{line}\0{who}".encode(errors="surrogatepass")
    number = int.from_bytes(blake2b(content, digest_size=8).digest(), "big")
    return (number >> (64 - _BITS)) / (1 << _BITS)
