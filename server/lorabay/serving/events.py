"""The log of what happened to adapters and the engine: who, what, when, with what result.

Kept in memory for the admin API, appended to a JSON lines file for later, and written to the
server's log. A file that has grown to its limit is set aside under `.1`, in place of the one
before.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

logger = structlog.get_logger(__name__)

REMEMBERED = 1000
"""Events that the admin API can show."""

LIMIT_BYTES = 10_000_000
"""At which size the file is set aside."""

FOLDER = "folder"
"""`who` of what the adapter directory caused."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `who` is `folder`, `engine`, or the id of the admin request that
    asked for it.
    """

    when: str
    who: str
    what: str
    adapter: str | None
    version: str | None
    result: str


class EventLog:
    """Appends events; a disk that refuses them costs the file's line, not the event."""

    def __init__(self, path: Path | None = None, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._events: deque[Event] = deque(maxlen=REMEMBERED)

    def add(
        self,
        what: str,
        *,
        who: str = FOLDER,
        adapter: str | None = None,
        version: str | None = None,
        result: str = "ok",
    ) -> None:
        """Record what happened, now."""
        event = Event(
            datetime.now(UTC).isoformat(timespec="milliseconds"),
            who,
            what,
            adapter,
            version,
            result,
        )
        self._events.append(event)
        log = logger.info if result == "ok" else logger.warning
        log(what, who=who, adapter=adapter, version=version, result=result)
        if self._path is None:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(event)) + "\n")
            # By its name: another server over the same store may just have set the file aside.
            if self._path.stat().st_size >= self._limit_bytes:
                self._path.replace(f"{self._path}.1")
        except OSError as error:
            logger.warning("event log not written", path=str(self._path), reason=error.strerror)

    def latest(self, count: int = 100) -> tuple[Event, ...]:
        """Give the newest events, newest first."""
        return tuple(self._events)[: -count - 1 : -1]
