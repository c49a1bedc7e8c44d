"""Questions that hold their answer: a label that leaks into the input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.data.matching import matching
from lorabay.data.reasons import Code, Note

if TYPE_CHECKING:
    from lorabay.data.example import Example

LEAST_CHARS = 40
"""A shorter answer may be what was asked to be found in the question: a number, a name."""


def gives_answer_away(example: Example) -> Note | None:
    """Return whether all of a long answer stands in its question or in the system message."""
    if len(example.output) < LEAST_CHARS:
        return None
    if len(example.output) > len(example.question) + len(example.system):
        return None

    answer = matching(example.output)
    where = (example.question, example.system)
    if any(answer in matching(text) for text in where):
        return Note(Code.ANSWER_IN_QUESTION, f"characters: {len(example.output)}")
    return None
