"""What somebody wants to see of the audit, read from flags or from a query.

Knows nothing of statements.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from lorabay.accounts.days import day_of
from lorabay.errors import InvalidRequest

if TYPE_CHECKING:
    from lorabay.accounts.audit.chain import Row

DEFAULT_LIMIT, MOST = 100, 10_000
"""Rows of an answer."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which rows are asked for; what is None is left open. Days are those of UTC, both included.

    `action` is a whole one, or the thing that it is about: `key` asks for `key.create`, too.
    """

    who: str | None = None
    action: str | None = None
    target: str | None = None
    since: date | None = None
    until: date | None = None
    limit: int = DEFAULT_LIMIT

    def asks_for(self, row: Row) -> bool:
        """Return whether a row is one of them; a row that cannot be read always is."""
        told = row.as_dict()
        if "at" not in told:
            return True

        action, day = str(told["action"]), str(told["at"])[:10]
        return (
            self.who in (None, told["who"])
            and self.action in (None, action, action.partition(".")[0])
            and self.target in (None, told["target"])
            and (self.since is None or day >= self.since.isoformat())
            and (self.until is None or day <= self.until.isoformat())
        )


def asked(
    *,
    who: str | None = None,
    action: str | None = None,
    target: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Question:
    """Return the question that words ask; raises InvalidRequest for a word that says nothing."""
    if not 1 <= limit <= MOST:
        raise InvalidRequest(f"`limit` is {limit}; it is from 1 to {MOST}", param="limit")

    first, last = day_of(since, "since"), day_of(until, "until")
    if first is not None and last is not None and first > last:
        raise InvalidRequest("`since` is later than `until`", param="since")
    return Question(who, action, target, first, last, limit)
