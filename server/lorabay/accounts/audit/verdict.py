"""What a check of the audit says, and the row that somebody noted elsewhere to check against.

Values only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lorabay.errors import UsageError

_ANCHOR = re.compile(r"(\d{1,18}):([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Anchor:
    """A row's number and hash, noted somewhere else; written `NUMBER:HASH`."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the chain is whole: how many rows there are, the newest one, and the first that does
    not fit, with what is wrong about it.
    """

    rows: int
    head: Anchor
    broken: int | None = None
    reason: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every row fits."""
        return self.broken is None

    def as_dict(self) -> dict[str, object]:
        """Return the verdict as plain values."""
        return {
            "ok": self.is_whole,
            "rows": self.rows,
            "head": str(self.head),
            "broken": self.broken,
            "reason": self.reason,
        }


def read_anchor(text: str) -> Anchor:
    """Return the row that `NUMBER:HASH` means, as a check prints it; raises UsageError."""
    match = _ANCHOR.fullmatch(text.strip().lower())
    if match is None or match[1] == "0":
        raise UsageError(
            f"{text[:100]!a} is no row: write NUMBER:HASH, the `head` of an earlier check"
        )
    return Anchor(int(match[1]), match[2])
