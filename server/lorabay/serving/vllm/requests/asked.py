"""What a body asks for: its fields without those that are empty, in the words that vLLM reads.

Clients that send every field they know set the others to null, or leave them empty. Each function
returns a copy, or what it was given. Knows nothing of what a valid body is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lorabay.serving.engine import Body

EMPTY: Mapping[str, object] = {
    "reasoning_effort": "",
    "response_format": {},
    "service_tier": "",
    "stop": "",
    "structured_outputs": {},
    "suffix": "",
    "tool_choice": "",
    "tools": [],
    "truncation": "",
}
"""Fields that vLLM refuses where they are empty, though that asks for nothing."""

FREE_CHOICES = ("auto", "none")
"""Choices of a tool that ask for nothing where there are no tools."""

OTHER_TEXTS = ("input_text", "output_text")
"""Names that the Responses API has for a part of text; clients of both send them to chats."""


def asked(body: Body) -> Body:
    """Return `body` without what it leaves open: a null, or an empty field."""
    given = {name: value for name, value in body.items() if not _is_left_open(name, value)}
    if "tools" not in given and given.get("tool_choice") in FREE_CHOICES:
        del given["tool_choice"]

    messages = given.get("messages")
    if isinstance(messages, list):
        given["messages"] = [_message(message) for message in messages]
    return given


def _is_left_open(name: str, value: object) -> bool:
    return value is None or (name in EMPTY and value == EMPTY[name])


def _message(message: Any) -> Any:
    """Return a message without nulls, and with its texts as parts that vLLM's chats have."""
    message = without_nulls(message)
    if not isinstance(message, dict) or not isinstance(message.get("content"), list):
        return message
    return message | {"content": [_part(part) for part in message["content"]]}


def _part(part: Any) -> Any:
    """Return a part of a message; a text by another name, or without any, is called `text`."""
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if isinstance(part, dict) and part.get("type") in OTHER_TEXTS:
        return part | {"type": "text"}
    return part


def without_nulls(message: Any) -> Any:
    """Return a message without fields that are null; content stays, as it may be missed."""
    if not isinstance(message, dict):
        return message
    return {
        name: value for name, value in message.items() if value is not None or name == "content"
    }
