"""Decides which events of a streamed answer carry generated tokens.

Some events go out before anything is generated, or after everything was: announcements of a
response, the role of a chat message, counts of tokens, the mark of the end. Latencies are measured
between tokens, and a version has answered when it has generated one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lorabay.serving.engine import Call

END_MARK = b"data: [DONE]"

NO_CHOICES = b'"choices":[]'
"""Within an event that only counts tokens. In a text, the quotation marks would be escaped."""

PIECES = (b".delta", b": content_block_delta")
"""How the names of typed events end that carry a piece of an answer."""

ROLE = b'"delta":{"role":'
"""Within the event that begins a chat message, and mostly says nothing yet."""


def carries_token(call: Call, event: bytes) -> bool:
    """Return whether an event of a streamed answer to `call` carries a generated token."""
    if not call.generates:
        return False
    if call.typed_events:
        return event.partition(b"\n")[0].endswith(PIECES)
    if event.startswith(END_MARK) or NO_CHOICES in event:
        return False
    return ROLE not in event or _says_something(event)


def _says_something(event: bytes) -> bool:
    """Return whether a chat event with a role also holds a piece of the message."""
    try:
        chunk: Any = json.loads(event.removeprefix(b"data: "))
        return any(_has_piece(choice) for choice in chunk["choices"])
    except (ValueError, TypeError, KeyError):
        return True


def _has_piece(choice: dict[str, Any]) -> bool:
    # With an end, the token that ended the message has been generated, though it is not shown.
    if choice.get("finish_reason") is not None:
        return True
    return any(value for name, value in choice["delta"].items() if name != "role")
