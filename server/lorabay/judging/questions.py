"""A question as it is asked: the messages of a chat up to the user's last one.

Two sets of answers meet by their questions, so a question is equal to another one by what it says.
Knows no answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lorabay.data.example import Example

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.data.example import Message

QUESTION_FIELDS = ("instruction", "question", "prompt")
ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class Question:
    """Pairs of a role and a text; the last one is the user's."""

    turns: tuple[tuple[str, str], ...]

    def messages(self) -> list[Message]:
        """Return the messages as a chat takes them."""
        return [{"role": role, "content": text} for role, text in self.turns]


def question_of(record: Mapping[str, Any]) -> Question | str:
    """Return the question of a line, or what is wrong with the line.

    A line has `messages`, or an `instruction` (also `question` or `prompt`) with `input`, `history`
    and `system` as examples have them.
    """
    if "messages" in record:
        return _of_messages(record["messages"])

    asked = next((record[name] for name in QUESTION_FIELDS if record.get(name)), None)
    if isinstance(asked, list):
        return _of_messages(asked)
    if not isinstance(asked, str) or not asked.strip():
        return f"it has no question: one of {', '.join(QUESTION_FIELDS)}, or messages"

    return _of_fields(asked, record)


def _of_fields(asked: str, record: Mapping[str, Any]) -> Question | str:
    further, system = record.get("input") or "", record.get("system") or ""
    if not isinstance(further, str) or not isinstance(system, str):
        return "input and system are texts"

    turns = record.get("history") or []
    if not isinstance(turns, list):
        return "history is not a list"

    history = []
    for turn in turns:
        match turn:
            case [str() as question, str() as answer]:
                history.append((question, answer))
            case _:
                return "history is not pairs of a question and an answer"

    example = Example(asked, "", further, tuple(history), system)
    return Question(tuple((one["role"], one["content"]) for one in example.messages()[:-1]))


def _of_messages(messages: object) -> Question | str:
    if not isinstance(messages, list):
        return "messages is not a list"

    turns = []
    for message in messages:
        match message:
            case {"role": str() as role, "content": str() as content} if role in ROLES:
                turns.append((role, content))
            case _:
                return "a message is not a role (system, user or assistant) and its content"

    # The answer of a conversation to learn from is no part of its question.
    while turns and turns[-1][0] == "assistant":
        turns.pop()
    if not turns or turns[-1][0] != "user":
        return "messages do not end with the user's question"
    return Question(tuple(turns))
