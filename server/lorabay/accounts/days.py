"""Days that a question names, as text."""

from __future__ import annotations

from datetime import date

from lorabay.errors import InvalidRequest

SHOWN = 40
"""Characters of a wrong value that its error repeats."""


def day_of(text: str | None, name: str) -> date | None:
    """Return the day that the parameter `name` says, None if it says nothing.

    Raises InvalidRequest for anything but YYYY-MM-DD.
    """
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(
            f"`{name}` must be a day, as in 2026-11-01, not {text[:SHOWN]!a}", param=name
        ) from None
