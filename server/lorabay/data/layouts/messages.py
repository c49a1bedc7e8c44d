"""OpenAI's chat: a list of messages with role and content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorabay.data.layouts.layout import Turn, UnusableError, as_example, removed, text_of
from lorabay.data.reasons import Code

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lorabay.data.reading.records import Fields
    from lorabay.data.reasons import Outcome

_ROLES: Mapping[str, str] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}


class Messages:
    """A list of messages."""

    def fits(self, fields: Fields) -> bool:
        """Return whether there is a list of messages with roles."""
        messages = fields.get("messages")
        return isinstance(messages, list) and all(
            isinstance(message, dict) and "role" in message for message in messages
        )

    def outcome(self, fields: Fields) -> Outcome:
        """Return the example, or why the messages are none."""
        try:
            return as_example(_turns(fields.get("messages")))
        except UnusableError as error:
            return removed(error)


def _turns(messages: object) -> Iterator[Turn]:
    if not isinstance(messages, list):
        raise UnusableError(Code.MISSING_FIELD, "messages is not a list")

    for message in messages:
        if not isinstance(message, dict):
            raise UnusableError(Code.MISSING_FIELD, "a message is not an object")
        role = _ROLES.get(str(message.get("role")))
        if role is None or message.get("tool_calls"):
            raise UnusableError(Code.WRONG_TURNS, "a message of a tool, or of an unknown role")
        yield Turn(role, _content(message))


def _content(message: dict[str, Any]) -> str:
    """Return the text of a message, which may be in parts; raises UnusableError for an image."""
    parts = message.get("content")
    if not isinstance(parts, list):
        return text_of(message, "content")

    texts = []
    for part in parts:
        match part:
            case {"type": "text", "text": str() as text}:
                texts.append(text)
            case _:
                raise UnusableError(Code.WRONG_TURNS, "a part of a message is not text")
    return "".join(texts)
