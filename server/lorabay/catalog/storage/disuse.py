"""How long nobody has used the records of a folder, counted in days on which that was seen.

    folder/unused   the days on which a sweep found no server that uses it, one a line

Only days that were seen count, not the time between two of them: a clock that is wrong, by an hour
or by years, adds one day. A folder that a server uses again starts from nothing. Every function is
called under the store's lock. Knows nothing of servers or of what records hold.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from lorabay.files import durable

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

DAYS_KEPT = 30
"""Days on which records must have been seen unused before they may go."""

_FILE = "unused"


def note_unused(folder: Path, today: date) -> int:
    """Note that nobody uses `folder` today; return on how many days that has been seen.

    Raises OSError if the days cannot be read. On a full disk today counts only now.
    """
    days = _days(folder)
    if today.isoformat() in days:
        return len(days)

    days.append(today.isoformat())
    with suppress(OSError):
        durable.write(folder / _FILE, "".join(f"{day}\n" for day in days))
    return len(days)


def note_used(folder: Path) -> None:
    """Note that a server uses `folder`. Raises OSError if the disk refuses."""
    (folder / _FILE).unlink(missing_ok=True)


def _days(folder: Path) -> list[str]:
    try:
        return (folder / _FILE).read_text(encoding="utf-8").split()
    except (FileNotFoundError, UnicodeDecodeError):
        return []
