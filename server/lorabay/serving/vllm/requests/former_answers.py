"""Former answers that clients send back to the Responses API, in the form that vLLM reads whole.

Of an answer in several parts vLLM reads the first; one that does not say that it is a message it
refuses. Each function returns a copy, or what it was given. Knows nothing of what a valid item is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorabay.serving.vllm.requests.asked import asked, without_nulls

if TYPE_CHECKING:
    from lorabay.serving.engine import Body

THOUGHTS = ("content", "summary")
"""Where an item of reasoning holds its parts."""

TEXTS = ("text", "refusal")
"""Where a part holds its text."""


def asked_of_responses(body: Body) -> Body:
    """Return what the body of a response asks for, with each former answer in one part."""
    given = asked(body)
    items = given.get("input")
    if isinstance(items, list):
        given["input"] = [_item(item) for item in items]
    return given


def _item(item: Any) -> Any:
    """Return an item of the input without nulls; an answer and its thoughts have one part each."""
    item = without_nulls(item)
    if not isinstance(item, dict):
        return item
    if item.get("type") == "reasoning":
        return _thoughts(item)
    if _is_answer(item):
        return _answer(item)
    return item


def _thoughts(item: dict[str, Any]) -> dict[str, Any]:
    lists = {name: item[name] for name in THOUGHTS if isinstance(item.get(name), list)}
    return item | {name: _joined(parts) for name, parts in lists.items()}


def _is_answer(item: dict[str, Any]) -> bool:
    """Return whether an item is an assistant's message in parts, if only by its role."""
    is_message = item.get("type", "message") == "message"
    is_assistants = item.get("role") == "assistant"
    return is_message and is_assistants and isinstance(item.get("content"), list)


def _answer(item: dict[str, Any]) -> dict[str, Any]:
    parts = [_output_text(part) for part in item["content"]]
    return item | {"type": "message", "content": _joined(parts)}


def _output_text(part: Any) -> Any:
    """Return a part as an assistant's text; one that holds none stays as it is."""
    text = _text_of(part)
    return part if text is None else {"type": "output_text", "text": text, "annotations": []}


def _joined(parts: list[Any]) -> list[Any]:
    """Return parts as one, of the kind of the first; they stay apart if one holds no text."""
    texts = [text for text in map(_text_of, parts) if text is not None]
    if len(parts) < 2 or len(texts) < len(parts):
        return parts
    return [parts[0] | {"text": "".join(texts)}]


def _text_of(part: Any) -> str | None:
    """Return the text of a part, None if it holds none."""
    if not isinstance(part, dict):
        return None
    texts = [part[name] for name in TEXTS if isinstance(part.get(name), str)]
    return texts[0] if texts else None
