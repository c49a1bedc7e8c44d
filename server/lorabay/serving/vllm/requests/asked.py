"""What a body asks for: its fields without those that are empty, in the words that vLLM reads.

Clients that send every field they know set the others to null, or leave them empty; and they send
back what they were answered, in shapes of OpenAI's that vLLM reads in part or not at all. Each
function returns a copy, or the body itself. Knows nothing of what a valid body is.
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

SAID = ("text", "refusal")
"""Where a part of an assistant's message holds its text."""


def asked(body: Body) -> Body:
    """Return `body` without what it leaves open: a null, or an empty field."""
    given = {
        name: value
        for name, value in body.items()
        if value is not None and not (name in EMPTY and value == EMPTY[name])
    }
    if "tools" not in given and given.get("tool_choice") in FREE_CHOICES:
        del given["tool_choice"]

    if isinstance(given.get("messages"), list):
        given["messages"] = [_as_message(message) for message in given["messages"]]
    return given


def _as_message(message: Any) -> Any:
    """Return a message without nulls, and with its texts as parts that vLLM's chats have."""
    message = _without_nulls(message)
    if not isinstance(message, dict) or not isinstance(message.get("content"), list):
        return message
    return message | {"content": [_as_part(part) for part in message["content"]]}


def _as_part(part: Any) -> Any:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if isinstance(part, dict) and part.get("type") in OTHER_TEXTS:
        return part | {"type": "text"}
    return part


def _without_nulls(message: Any) -> Any:
    """Return a message without fields that are null; content stays, as it may be missed."""
    if not isinstance(message, dict) or None not in message.values():
        return message
    return {
        name: value for name, value in message.items() if value is not None or name == "content"
    }


def asked_of_responses(body: Body) -> Body:
    """Return the body of a response in which vLLM reads each item of the input as a whole.

    Of a former answer in several parts vLLM would read the first, and one that does not say that it
    is a message it refuses.
    """
    given = asked(body)
    if isinstance(given.get("input"), list):
        given["input"] = [_as_one(item) for item in given["input"]]
    return given


def _as_one(item: Any) -> Any:
    item = _without_nulls(item)
    if not isinstance(item, dict):
        return item

    if item.get("type") == "reasoning":
        return item | {
            name: _joined(item[name])
            for name in ("content", "summary")
            if isinstance(item.get(name), list)
        }

    is_message = item.get("type", "message") == "message" and item.get("role") == "assistant"
    if not is_message or not isinstance(item.get("content"), list):
        return item
    return item | {"type": "message", "content": _joined(_as_text(item["content"]))}


def _as_text(parts: list[Any]) -> list[Any]:
    """Return an assistant's parts as parts of text; one that holds none stays as it is."""
    texts = [_text_of(part) for part in parts]
    return [
        part if text is None else {"type": "output_text", "text": text, "annotations": []}
        for part, text in zip(parts, texts, strict=True)
    ]


def _joined(parts: list[Any]) -> list[Any]:
    """Return parts of text as one, of the kind of the first; others stay as they are."""
    texts = [_text_of(part) for part in parts]
    told = [text for text in texts if text is not None]
    if len(told) < 2 or len(told) < len(parts):
        return parts
    return [parts[0] | {"text": "".join(told)}]


def _text_of(part: Any) -> str | None:
    """Return the text of a part, None if it holds none."""
    if not isinstance(part, dict):
        return None
    texts = [part[name] for name in SAID if isinstance(part.get(name), str)]
    return texts[0] if texts else None
