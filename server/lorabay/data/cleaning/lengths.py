"""Examples that are empty or too long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.data.reasons import Code, Note

if TYPE_CHECKING:
    from lorabay.data.example import Example


def says_nothing(example: Example) -> Note | None:
    """Return which side of a turn has no letter or digit."""
    questions = [example.instruction, *(question for question, _ in example.history)]
    answers = [example.output, *(answer for _, answer in example.history)]

    if not all(map(_says_something, questions)):
        return Note(Code.EMPTY_QUESTION)
    if not all(map(_says_something, answers)):
        return Note(Code.EMPTY_ANSWER)
    return None


def _says_something(text: str) -> bool:
    return any(char.isalnum() for char in text)


@dataclass(frozen=True, slots=True)
class MostChars:
    """The most characters that an example may have, all its texts together."""

    chars: int

    def judge(self, example: Example) -> Note | None:
        """Return how many there are, if too many."""
        chars = sum(map(len, example.spoken)) + len(example.system)
        return Note(Code.TOO_LONG, f"characters: {chars}") if chars > self.chars else None
