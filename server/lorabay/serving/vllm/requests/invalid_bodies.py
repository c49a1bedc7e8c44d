"""pydantic's errors of a body, as one sentence about one field.

vLLM's types are unions of dozens of branches, and each branch that a value might have been
complains of it. What is told is the nearest miss, among the branches of the value's own role and
type. Knows nothing of vLLM's other failures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lorabay.errors import InvalidRequest

if TYPE_CHECKING:
    from pydantic import ValidationError

MOST_ERRORS = 1_000
"""Mistakes of a body among which the nearest miss is looked for; each takes a kilobyte."""

SHOWN_CHARS = 1_000
"""Characters of a message that clients get to see."""

KINDS = frozenset({"role", "type"})
"""Fields by which a value says which branch of a union it is."""

SCALARS = frozenset({"bool", "bytes", "float", "int", "none", "str"})
"""Names of branches that are no fields."""


def from_validation(error: ValidationError) -> InvalidRequest:
    """Return the error of the field that lies deepest, among those that fit what was sent."""
    count = error.error_count()
    if count > MOST_ERRORS:
        return InvalidRequest(
            f"{count} values of the body have a wrong type; /docs shows the right ones"
        )

    items = error.errors(include_url=False, include_input=False, include_context=False)
    nearest = max(_of_its_kind(items), key=lambda item: len(item["loc"]))
    # A list that vLLM validates late reports its own errors in several lines.
    message = " ".join(shown(nearest["msg"].removeprefix("Value error, ")).split())

    where = [str(part) for part in nearest["loc"] if _is_field(part)]
    if not where:
        return InvalidRequest(message)
    if where[0].isdigit():
        # Only lists in a chat's messages are read late, where nobody knows which one it is.
        return InvalidRequest(
            shown(f"a list in `messages`, at {'.'.join(where)}: {message}"), param="messages"
        )
    return InvalidRequest(shown(f"{'.'.join(where)}: {message}"), param=shown(where[0]))


def _of_its_kind(items: Sequence[Any]) -> Sequence[Any]:
    """Return the errors of branches of the role and type that were sent; all, if there are none."""
    strangers = {item["loc"][:-1] for item in items if item["loc"] and item["loc"][-1] in KINDS}
    own = [
        item
        for item in items
        if not any(item["loc"][:end] in strangers for end in range(1, len(item["loc"])))
    ]
    return own or items


def _is_field(part: int | str) -> bool:
    """Return whether a part of a place names a field or an element, and no branch of a union."""
    if isinstance(part, int):
        return True
    return part.isidentifier() and part not in SCALARS and not part[0].isupper()


def shown(message: str) -> str:
    """Return a message cut to a length that can be read: vLLM repeats what clients send."""
    if len(message) <= SHOWN_CHARS:
        return message
    return f"{message[:SHOWN_CHARS]}... ({len(message)} characters)"
