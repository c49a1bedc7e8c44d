"""One key as the database knows it, and how it is described to people and programs.

Values only. Knows nothing of statements.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from lorabay.accounts.callers import Caller
from lorabay.accounts.permissions import permissions

if TYPE_CHECKING:
    from lorabay.accounts.limits import Limits

KEYS_CHANGE = "keys"
"""What the changes of keys are counted as."""


LATEST_S = 253_402_214_400
"""The last day that a date can name; later times are shown as that."""


class KeyState(StrEnum):
    """Whether a key opens anything."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret, of which only hashes are known. Times are seconds since 1970."""

    id: str
    name: str
    tenant: str
    secret_hash: bytes = field(repr=False)
    adapters: tuple[str, ...]
    endpoints: tuple[str, ...] | None
    limits: Limits
    created_at: int
    created_by: str
    former_hash: bytes | None = field(default=None, repr=False)
    former_until: int | None = None
    expires_at: int | None = None
    revoked_at: int | None = None
    revoked_by: str | None = None

    def state(self, now: float) -> KeyState:
        """Return whether the key opens anything at this time."""
        if self.revoked_at is not None:
            return KeyState.REVOKED
        if self.expires_at is not None and now >= self.expires_at:
            return KeyState.EXPIRED
        return KeyState.ACTIVE

    def caller(self) -> Caller:
        """Return who sends requests with this key."""
        endpoints = None if self.endpoints is None else frozenset(self.endpoints)
        return Caller(self.id, self.tenant, permissions(self.adapters, endpoints), self.limits)

    def as_dict(self, now: float | None = None) -> dict[str, object]:
        """Return what anybody may know of the key who may manage keys."""
        return {
            "id": self.id,
            "name": self.name,
            "tenant": self.tenant,
            "state": self.state(time.time() if now is None else now).value,
            "adapters": list(self.adapters),
            "endpoints": None if self.endpoints is None else list(self.endpoints),
            **self.limits.as_dict(),
            "created_at": shown_time(self.created_at),
            "created_by": self.created_by,
            "expires_at": shown_time(self.expires_at),
            "former_secret_until": shown_time(self.former_until),
            "revoked_at": shown_time(self.revoked_at),
            "revoked_by": self.revoked_by,
        }


def shown_time(seconds: int | None) -> str | None:
    """Return a time as ISO 8601 in UTC, such as `2026-11-28T18:50:00Z`."""
    if seconds is None:
        return None
    seconds = min(seconds, LATEST_S)
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
