"""The chain: what the bytes of a row are, and how its hash follows from them and from the row
before.

hash(n) = SHA-256(hash(n - 1) || entry(n)), with 32 zero bytes before the first row. A row that was
changed, put in, taken out or moved does not fit, unless all hashes behind it were computed anew:
whoever can do that is found by a hash that was noted elsewhere. Knows nothing of statements.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lorabay.accounts.audit.deeds import Deed

BEFORE_ALL = bytes(32)
"""What the first row follows."""

_FIELDS = frozenset(
    {"number", "at", "who", "action", "target", "detail", "result", "request_id"},
)


@dataclass(frozen=True, slots=True)
class Row:
    """A row as the database holds it: its bytes as JSON, and its hash.

    Of a table that somebody has changed, either may be of any type.
    """

    number: int
    entry: object
    hash: object

    def fits(self, former: object) -> bool:
        """Return whether the row is whole, and follows the hash of the row before."""
        if not isinstance(self.entry, bytes) or not isinstance(former, bytes):
            return False
        return self.hash == hash_of(former, self.entry)

    def as_dict(self) -> dict[str, Any]:
        """Return what the row tells, with its number; a row that cannot be read tells that."""
        told = _read(self.entry) or {"result": "this row cannot be read"}
        # Last: the bytes of a row that was changed may say another number.
        return told | {"number": self.number}


def entry_of(number: int, when: float, deed: Deed) -> bytes:
    """Return the bytes of a row: JSON in ASCII, always in the same form."""
    at = datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds")
    told = {"number": number, "at": at.replace("+00:00", "Z"), **deed.as_dict()}
    return json.dumps(told, separators=(",", ":"), sort_keys=True).encode()


def hash_of(former: bytes, entry: bytes) -> bytes:
    """Return the hash of a row that follows another one's."""
    return hashlib.sha256(former + entry).digest()


def _read(entry: object) -> dict[str, Any] | None:
    if not isinstance(entry, bytes):
        return None
    try:
        told = json.loads(entry)
        # Bytes that were changed may be of numbers and characters that no answer can hold.
        json.dumps(told, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) and told.keys() >= _FIELDS else None
