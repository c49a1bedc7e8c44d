"""What a report of usage is asked for, and what it answers: sums of requests and tokens over some
days.

With prices there is an amount for each line, rounded as it is told, and the total is the sum of the
lines. Knows nothing of where the sums come from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from lorabay.accounts.days import day_of
from lorabay.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping


class By(StrEnum):
    """What the lines of a report may be told apart by."""

    KEY = "key"
    TENANT = "tenant"
    ADAPTER = "adapter"
    VERSION = "version"
    CALL = "call"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Question:
    """What a report is asked for: days from `since` to `until`, both included, in UTC.

    `only` keeps what has these values.
    """

    by: tuple[By, ...] = ()
    since: date | None = None
    until: date | None = None
    only: Mapping[By, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Sums of requests and of their tokens; cached ones are part of the prompt's."""

    requests: int = 0
    prompt: int = 0
    cached: int = 0
    generated: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.requests + other.requests,
            self.prompt + other.prompt,
            self.cached + other.cached,
            self.generated + other.generated,
        )


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a report: its labels in the order that was asked for, and its sums."""

    labels: tuple[str, ...]
    tokens: Tokens
    amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The lines for a question, in the order of their labels; `currency` is that of amounts."""

    question: Question
    lines: tuple[Line, ...]
    currency: str | None = None

    @property
    def total(self) -> Line:
        """The sum of all lines."""
        tokens = sum((line.tokens for line in self.lines), Tokens())
        if self.currency is None:
            return Line((), tokens)
        amounts = (line.amount or Decimal(0) for line in self.lines)
        return Line((), tokens, sum(amounts, Decimal(0)))


def asked(
    by: str, *, since: str | None = None, until: str | None = None, only: Mapping[By, str]
) -> Question:
    """Return the question that words ask, such as `key,adapter` since `2026-11-01`.

    Raises InvalidRequest for a word that says nothing.
    """
    names = [name.strip() for name in by.split(",") if name.strip()]
    wrong = [name for name in names if name not in set(By)]
    if wrong:
        raise InvalidRequest(
            f"usage cannot be told apart by {wrong[0]!r}; choose from {', '.join(By)}", param="by"
        )

    for name, value in only.items():
        if not is_storable(value):
            raise InvalidRequest(f"`{name}` holds characters that no name has", param=name)

    first, last = day_of(since, "since"), day_of(until, "until")
    if first is not None and last is not None and first > last:
        raise InvalidRequest("`since` is later than `until`", param="since")
    return Question(tuple(By(name) for name in dict.fromkeys(names)), first, last, only)


def is_storable(name: str) -> bool:
    """Return whether a database could hold a name: not with NUL, nor with half a character."""
    try:
        return b"\0" not in name.encode()
    except UnicodeEncodeError:
        return False
