"""A body with the sizes of its fields, and the limits that it has to keep.

Measures every field once. Knows nothing of what the fields mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.api.request.json_size import size_of
from lorabay.api.request.json_values import as_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.api.limits.request_limits import RequestLimits
    from lorabay.api.request.json_size import JsonSize
    from lorabay.serving.engine import Body, Call

MOST_DEPTH = 32
"""Objects and lists inside one another, in fields that are no schema; clients send ten."""

SHOWN_CHARS = 60
"""Characters of a field's name in an answer: clients choose names too."""


@dataclass(frozen=True, slots=True)
class Excess:
    """One limit that a body passes."""

    field: str
    found: str
    most: str

    def __str__(self) -> str:
        return f"`{self.field[:SHOWN_CHARS]}` has {self.found}; at most {self.most}"


class MeasuredBody:
    """The body of one call; `context` is the base's context length in tokens, if it is known."""

    def __init__(self, call: Call, body: Body, limits: RequestLimits, context: int | None) -> None:
        self.call = call
        self.body = body
        self.context = context
        self.sizes: dict[str, JsonSize] = {name: size_of(value) for name, value in body.items()}
        self._limits = limits

    def number(self, field: str) -> int | None:
        """Return the number that the engine may read from a field, or None."""
        return as_number(self.body.get(field))

    def limit(self, setting: str) -> int:
        """Return the value of a limit."""
        value: int = getattr(self._limits, setting)
        return value

    def told(self, setting: str) -> str:
        """Return a limit as an answer tells it: its value, and the setting that holds it."""
        return f"{self.limit(setting)} (setting `{setting}`)"

    def over(self, field: str, value: int, noun: str, setting: str) -> Iterator[Excess]:
        """Yield the excess of a field that has more of something than a limit allows."""
        if value > self.limit(setting):
            yield Excess(field, f"{value} {noun}", self.told(setting))


def too_deep(field: str, size: JsonSize) -> Iterator[Excess]:
    """Yield the excess of a field that is nested too deeply."""
    if size.depth > MOST_DEPTH:
        yield Excess(field, f"{size.depth} levels", str(MOST_DEPTH))
