"""Alpaca: instruction, input and output, with history and system where there are; also our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.data.example import Example
from lorabay.data.layouts.layout import UnusableError, removed, text_of
from lorabay.data.reasons import Code, Kept

if TYPE_CHECKING:
    from lorabay.data.reading.records import Fields
    from lorabay.data.reasons import Outcome


class Alpaca:
    """Instruction, input and output."""

    def fits(self, fields: Fields) -> bool:
        """Return whether there is an instruction and an output."""
        return "instruction" in fields and "output" in fields

    def outcome(self, fields: Fields) -> Outcome:
        """Return the example, or which field is missing."""
        try:
            return Kept(
                Example(
                    instruction=text_of(fields, "instruction"),
                    output=text_of(fields, "output"),
                    input=text_of(fields, "input", needed=False),
                    history=_history(fields),
                    system=text_of(fields, "system", needed=False),
                )
            )
        except UnusableError as error:
            return removed(error)


def _history(fields: Fields) -> tuple[tuple[str, str], ...]:
    history = fields.get("history") or []
    if not isinstance(history, list):
        raise UnusableError(Code.MISSING_FIELD, "history is not a list")

    turns = []
    for turn in history:
        match turn:
            case [str() as question, str() as answer]:
                turns.append((question, answer))
            case _:
                raise UnusableError(
                    Code.MISSING_FIELD, "history is not pairs of a question and an answer"
                )
    return tuple(turns)
