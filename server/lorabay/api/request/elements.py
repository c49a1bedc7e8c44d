"""The kinds of the elements of a body's lists: one wrong element refuses a list."""

from __future__ import annotations

from collections.abc import Iterable

from lorabay.errors import InvalidRequest


def check_elements(field: str, elements: object, kinds: set[type], noun: str) -> None:
    """Raise InvalidRequest if `elements` is a list that holds anything but `kinds`."""
    if not isinstance(elements, list):
        return

    wrong = set(map(type, elements)) - kinds
    if wrong:
        raise InvalidRequest(f"`{field}` must hold {noun}, not {_names(wrong)}", param=field)


def _names(kinds: Iterable[type]) -> str:
    return ", ".join(sorted(kind.__name__ for kind in kinds))
