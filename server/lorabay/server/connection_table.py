"""The connections of one server: at most so many, and who has to go when one more comes."""

from __future__ import annotations

from typing import Protocol


class Connection(Protocol):
    """One connection of a client."""

    def give_way(self) -> None:
        """Close at once."""
        ...


class ConnectionTable:
    """At most `limit` connections, of which some wait for a request.

    Those that wait give way to new ones, so whoever opens connections and asks nothing keeps nobody
    out.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._busy: set[Connection] = set()
        # A dict keeps their order: the first one has waited longest.
        self._waiting: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._busy) + len(self._waiting)

    def admit(self, connection: Connection) -> bool:
        """Take in a connection, which waits for its first request.

        Returns False, and takes nothing in, if all the others are busy.
        """
        if len(self) >= self._limit:
            eldest = next(iter(self._waiting), None)
            if eldest is None:
                return False
            self.remove(eldest)
            eldest.give_way()

        self._waiting[connection] = None
        return True

    def is_busy(self, connection: Connection) -> None:
        """Note that a connection's request is being answered."""
        if connection in self._waiting:
            del self._waiting[connection]
            self._busy.add(connection)

    def is_waiting(self, connection: Connection) -> None:
        """Note that a connection's request has been answered."""
        if connection in self._busy:
            self._busy.remove(connection)
            self._waiting[connection] = None

    def remove(self, connection: Connection) -> None:
        """Forget a connection; idempotent."""
        self._busy.discard(connection)
        self._waiting.pop(connection, None)
