"""Who is alive, by the beats that each of several servers counts.

A server whose beats stand still for the length of a lease counts as gone. Only the clock of whoever
looks is read, so that clocks of different machines need not agree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class _Seen:
    beat: int
    at: float
    is_first: bool


class Beats:
    """The newest beat of each server, and when it was seen first, in seconds of one clock."""

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._seen: dict[str, _Seen] = {}

    def note(self, server: str, beat: int, now: float) -> None:
        """Note the beat of a server as it is now."""
        seen = self._seen.get(server)
        if seen is None or seen.beat != beat:
            self._seen[server] = _Seen(beat, now, is_first=seen is None)

    def shift(self, seconds: float) -> None:
        """Leave out time in which nobody looked: whoever was alive may be so still."""
        self._seen = {
            server: replace(seen, at=seen.at + seconds) for server, seen in self._seen.items()
        }

    def forget(self, server: str) -> None:
        """Look at a server as if for the first time, should it come again."""
        self._seen.pop(server, None)

    def has_beaten(self, server: str) -> bool:
        """Return whether a server has shown another beat than the one that was found: it lives."""
        seen = self._seen.get(server)
        return seen is not None and not seen.is_first

    def silent_s(self, server: str, now: float) -> float:
        """Return for how long a server has shown no new beat; 0 for one never seen."""
        seen = self._seen.get(server)
        return 0.0 if seen is None else now - seen.at

    def is_alive(self, server: str, now: float) -> bool:
        """Return whether a server has shown a beat within the lease."""
        return self.silent_s(server, now) < self._lease_s

    def silent(self, for_s: float, now: float) -> list[str]:
        """Return the servers that have shown no beat for so long."""
        return [server for server, seen in self._seen.items() if now - seen.at >= for_s]
