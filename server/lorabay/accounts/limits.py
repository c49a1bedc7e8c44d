"""What one key, tenant or adapter may use: how much in a minute, a day, a month, and at once.

Plain values, checked when they are made. Knows nothing of how use is counted.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

MOST = 10**15
"""Largest limit: beyond it nobody means a limit, and databases run out of digits."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a key, a tenant, an adapter or a key on an adapter may use.

    None is no limit, 0 lets nothing pass. Tokens are those of prompts and of answers together; days
    and months are those of UTC. Raises ValueError for what is not a whole number from 0 to `MOST`.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    tokens_per_month: int | None = None

    parallel: int | None = None
    """Requests that run at once."""

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, getattr(self, field.name))

    def __bool__(self) -> bool:
        """Return whether anything is limited."""
        return any(limit is not None for limit in self.as_dict().values())

    def as_dict(self) -> dict[str, int | None]:
        """Return every limit by its name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def changed(self, **limits: int | None) -> Self:
        """Return the same limits, but for those named."""
        return replace(self, **limits)


def _check(name: str, limit: object) -> None:
    if limit is None:
        return
    # True is a whole number to Python, and a mistake here.
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise ValueError(f"{name} is {limit!r}; it is a whole number, or none for no limit")
    if not 0 <= limit <= MOST:
        raise ValueError(f"{name} is {limit}; it is from 0 to {MOST}")


UNLIMITED = Limits()

LIMIT_NAMES = tuple(field.name for field in fields(Limits))
"""The names of the limits, as they stand in tables, options and answers."""
