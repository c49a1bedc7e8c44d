"""What a layout is, and what the layouts share: fields that are text, conversations of turns."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from lorabay.data.example import Example
from lorabay.data.reasons import Code, Kept, Note, Removed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lorabay.data.reading.records import Fields
    from lorabay.data.reasons import Outcome


class Layout(Protocol):
    """A convention of fields."""

    def fits(self, fields: Fields) -> bool:
        """Return whether a record looks like this convention."""
        ...

    def outcome(self, fields: Fields) -> Outcome:
        """Return the example that a record is, or why it is none."""
        ...


@dataclass(frozen=True, slots=True)
class Turn:
    """What somebody said; the role is user, assistant or system."""

    role: str
    text: str


class UnusableError(Exception):
    """A record is no example; `note` says why."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.note = Note(code, detail)


def text_of(fields: Mapping[str, object], name: str, *, needed: bool = True) -> str:
    """Return a field that is text; raises UnusableError for a field that is missing or no text.

    What is not needed may be missing, null or empty.
    """
    value = fields.get(name)
    if isinstance(value, str):
        return value
    if value is None and not needed:
        return ""
    fault = "missing" if value is None else "not text"
    raise UnusableError(Code.MISSING_FIELD, f"{name} is {fault}")


def as_example(turns: Iterable[Turn]) -> Kept:
    """Return a conversation as an example whose answer is the last one.

    Several turns of one speaker become one. Raises UnusableError if nobody asks or nobody answers.
    """
    turns = [turn for turn in turns if turn.text.strip() or turn.role != "system"]
    system = "\n\n".join(turn.text for turn in turns if turn.role == "system")
    spoken = joined(turn for turn in turns if turn.role != "system")

    dropped = 0
    if spoken and spoken[0].role == "assistant":
        spoken, dropped = spoken[1:], 1
    if spoken and spoken[-1].role == "user":
        spoken, dropped = spoken[:-1], dropped + 1
    if not spoken:
        raise UnusableError(Code.WRONG_TURNS, "no question with an answer")

    texts = [turn.text for turn in spoken]
    pairs = tuple(zip(texts[::2], texts[1::2], strict=True))
    example = Example(pairs[-1][0], pairs[-1][1], history=pairs[:-1], system=system)
    notes = (Note(Code.TURNS_DROPPED, f"turns: {dropped}"),) if dropped else ()
    return Kept(example, notes)


def joined(turns: Iterable[Turn]) -> list[Turn]:
    """Return the turns with those that follow one another from one speaker as one."""
    return [
        Turn(role, "\n".join(turn.text for turn in said))
        for role, said in groupby(turns, key=lambda turn: turn.role)
    ]


def removed(error: UnusableError) -> Removed:
    """Return the outcome of a record that is no example."""
    return Removed(error.note)
