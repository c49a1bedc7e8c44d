"""One exchange's usage: what it cost, whose it was, and how it ended; and its form as a line of
JSON.

Times are whole milliseconds: one by the wall clock, by which days and months are told, and the rest
as distances from it by a clock that never jumps. Knows nothing of where records are kept.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any


class Ending(StrEnum):
    """How an exchange ended."""

    DONE = "done"
    """The answer was made to its end."""

    LEFT = "left"
    """The client went away before that."""

    CUT = "cut"
    """The server ended before that."""

    ERROR = "error"
    """It was refused, or it failed."""


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """What one exchange cost.

    `key` is the id of the caller. `version` is the beginning of a digest, as in `x-adapter-version`
    of the answer, and empty for the base. `cached_tokens` are part of `prompt_tokens`; a prompt
    counts once, however many of the `sequences` are made of it. Of `queue_ms` and `first_token_ms`,
    None says that the exchange never came that far.
    """

    id: str
    key: str
    tenant: str
    adapter: str
    version: str
    call: str
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int
    prompts: int
    sequences: int
    started_ms: int
    queue_ms: int | None
    first_token_ms: int | None
    total_ms: int
    code: int
    ended: str


_NAMES = tuple(field.name for field in fields(UsageRecord))


def new_id() -> str:
    """Return a UUID of version 7 (RFC 9562, 5.7): ids sort by the time at which they were made."""
    since_1970_ms = time.time_ns() // 1_000_000
    number = since_1970_ms << 80 | 0x7 << 76 | secrets.randbits(12) << 64
    number |= 0b10 << 62 | secrets.randbits(62)
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def values_of(record: UsageRecord) -> dict[str, Any]:
    """Return the values of a record by their names; `asdict` would copy each of them."""
    return {name: getattr(record, name) for name in _NAMES}


def to_line(record: UsageRecord) -> bytes:
    """Return a record as JSON in one line."""
    return json.dumps(values_of(record), separators=(",", ":")).encode()


def from_line(line: bytes) -> UsageRecord | None:
    """Return the record of a line, which may say more than this release knows; None for what is
    no record.
    """
    try:
        content: Any = json.loads(line)
    except ValueError:
        return None
    if not isinstance(content, dict) or not content.keys() >= set(_NAMES):
        return None
    return UsageRecord(**{name: content[name] for name in _NAMES})
