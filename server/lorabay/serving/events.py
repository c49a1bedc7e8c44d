"""Events of adapters and the engine: who did what, when, and with which result.

Each event is kept in memory for the admin API, appended to a file of JSON lines, and written to the
server's log. When the file has grown to its limit it is renamed to end in `.1`, over the one
before. Knows nothing of what events mean.
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
"""Events that are kept in memory."""

LIMIT_BYTES = 10_000_000
"""Size at which the file is renamed and a new one begins."""

FOLDER = "folder"
"""`who` of events that the adapter directory caused."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    `when` is an ISO time in UTC. `who` is `folder`, `engine`, or the id of an admin request.
    `result` is `ok`, or says what went wrong.
    """

    when: str
    who: str
    what: str
    adapter: str | None
    version: str | None
    result: str


class EventLog:
    """Log of events. If the disk refuses a line, the event is only missing from the file."""

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
        """Record an event that happens now."""
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        event = Event(when, who, what, adapter, version, result)
        self._events.append(event)

        log = logger.info if result == "ok" else logger.warning
        log(what, who=who, adapter=adapter, version=version, result=result)

        if self._path is not None:
            self._append(self._path, event)

    def latest(self, count: int = 100) -> tuple[Event, ...]:
        """Return at most `count` events, newest first."""
        return tuple(self._events)[: -count - 1 : -1]

    def _append(self, path: Path, event: Event) -> None:
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(event)) + "\n")

            # The size of the path, not of the open file: another server over the same store may
            # have renamed that one since.
            if path.stat().st_size >= self._limit_bytes:
                path.replace(f"{path}.1")
        except OSError as error:
            logger.warning("event log not written", path=str(path), reason=error.strerror)
