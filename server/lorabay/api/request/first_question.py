"""The first thing that a user asks in a request: every later turn of a conversation repeats it.

Knows where each API keeps it. Values of a wrong type are passed over; the engine refuses them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lorabay.serving.engine import Body

CONVERSATIONS = ("messages", "input")
"""Fields that hold messages: of chats and of Anthropic, and of the Responses API."""

TEXTS = ("prompt", "input", "query", "text_1")
"""Fields that hold a text, or a list of texts."""


def first_question(body: Body) -> str:
    """Return the text of the first message of a user, or of the first text; empty without one."""
    for field in CONVERSATIONS:
        found = _first_of_user(body.get(field))
        if found:
            return found

    for field in TEXTS:
        given = body.get(field)
        first = given[0] if isinstance(given, list) and given else given
        if isinstance(first, str):
            return first
    return ""


def _first_of_user(messages: object) -> str:
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, dict) and message.get("role") == "user":
            return _text_of(message.get("content"))
    return ""


def _text_of(content: object) -> str:
    """Return the text of a message, whose pictures and files say nothing here."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))
