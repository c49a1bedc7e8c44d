"""Events of adapters and the engine: who did what, when, and with which result.

Each event is kept in memory for the admin API, written to the server's log, and appended to a file
of JSON lines by a thread: a disk that hangs holds up nobody, and what it refuses waits. When the
file has grown to its limit it is renamed to end in `.1`, over the one before. Knows nothing of what
events mean.
"""

from __future__ import annotations

import errno
import json
import threading
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from lorabay.files.background import BackgroundWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = structlog.get_logger(__name__)

REMEMBERED = 1000
"""Events that are kept in memory."""

WAITING = 10_000
"""Lines that wait for a disk that refuses them, at most; older ones are only missing."""

WRITES_TO_LIMIT = 100
"""Writes, at least, in which the file grows to its limit: that is how far it may go beyond it."""

LIMIT_BYTES = 10_000_000
"""Size at which the file is renamed and a new one begins."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever causes an event.

    `kind` is chosen by the server: `folder`, `engine`, or the id of a caller, such as `admin`.
    `request_id` is that of a caller's request, which may have chosen it.
    """

    kind: str
    request_id: str | None = None


FOLDER = Actor("folder")
"""The adapter directory."""

ENGINE = Actor("engine")
"""The engine, by its death or by a refusal."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    `when` is an ISO time in UTC. `who` and `request_id` are those of an actor. `result` is `ok`, or
    says what went wrong.
    """

    when: str
    who: str
    request_id: str | None
    what: str
    adapter: str | None
    version: str | None
    result: str


class EventLog:
    """Log of events. Lines that the disk refuses are written when it takes them again."""

    def __init__(self, path: Path | None = None, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._events: deque[Event] = deque(maxlen=REMEMBERED)
        self._waiting: deque[bytes] = deque(maxlen=WAITING)
        self._lock = threading.Lock()
        self._writer = BackgroundWriter("event log", self._write)
        self.told: Callable[[Event], object] = lambda event: None
        """Called with every event, when it happens; returns at once, and never raises."""
        self._is_cut = False
        """True after a line of which the disk took a part only."""

    def add(
        self,
        what: str,
        *,
        who: Actor = FOLDER,
        adapter: str | None = None,
        version: str | None = None,
        result: str = "ok",
    ) -> None:
        """Record an event that happens now."""
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        event = Event(when, who.kind, who.request_id, what, adapter, version, result)
        self._events.append(event)
        self.told(event)

        log = logger.info if result == "ok" else logger.warning
        asked_by = {} if who.request_id is None else {"request_id": who.request_id}
        log(what, who=who.kind, **asked_by, adapter=adapter, version=version, result=result)

        if self._path is not None:
            with self._lock:
                self._waiting.append(json.dumps(asdict(event)).encode() + b"\n")
            self._writer.wake()

    def latest(self, count: int = 100) -> tuple[Event, ...]:
        """Return at most `count` events, newest first."""
        return tuple(self._events)[: -count - 1 : -1]

    def flush(self, timeout_s: float) -> bool:
        """Wait until every event of now is in the file; return whether it is. Blocks."""
        return self._writer.flush(timeout_s)

    def _write(self) -> None:
        """Append every line that waits; raises OSError, and then the rest waits on."""
        while True:
            lines = self._next_lines()
            if not lines or self._path is None:
                return

            written = self._append(self._path, b"".join(lines))
            self._forget(_whole(lines, written))
            if self._is_cut:
                raise OSError(errno.ENOSPC, "No space left on device")
            self._set_aside(self._path)

    def _next_lines(self) -> list[bytes]:
        """Return the lines that are written next, in one go."""
        lines: list[bytes] = []
        size = 0
        with self._lock:
            for line in self._waiting:
                size += len(line)
                if lines and size > self._limit_bytes // WRITES_TO_LIMIT:
                    break
                lines.append(line)
        return lines

    def _append(self, path: Path, lines: bytes) -> int:
        """Append what the disk takes of some lines; return how many bytes of them that were."""
        # A full disk may have taken a part of the line before.
        start = b"\n" if self._is_cut else b""
        with path.open("ab", buffering=0) as file:
            written = file.write(start + lines)
        self._is_cut = written < len(start + lines)
        return max(0, written - len(start))

    def _forget(self, lines: Sequence[bytes]) -> None:
        """Note that lines are in the file."""
        with self._lock:
            for line in lines:
                # Many newer lines may have pushed it out meanwhile.
                if self._waiting and self._waiting[0] is line:
                    self._waiting.popleft()

    def _set_aside(self, path: Path) -> None:
        """Rename the file if it has grown to its limit."""
        # The line is in the file, whatever becomes of this: the next one tries again.
        with suppress(OSError):
            # The size of the path, not of the open file: another server over the same store may
            # have renamed that one since.
            if path.stat().st_size >= self._limit_bytes:
                path.replace(f"{path}.1")


def _whole(lines: Sequence[bytes], written: int) -> list[bytes]:
    """Return the lines that lie within the first bytes of all of them."""
    ends = accumulate(map(len, lines))
    return [line for line, end in zip(lines, ends, strict=True) if end <= written]
