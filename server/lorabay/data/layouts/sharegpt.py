"""ShareGPT: a list of conversations with from and value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.data.layouts.layout import Turn, UnusableError, as_example, removed, text_of
from lorabay.data.reasons import Code

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lorabay.data.reading.records import Fields
    from lorabay.data.reasons import Outcome

_ROLES: Mapping[str, str] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bard": "assistant",
    "bing": "assistant",
    "assistant": "assistant",
}


class ShareGpt:
    """A list of who said what."""

    def fits(self, fields: Fields) -> bool:
        """Return whether there is a list of turns with a speaker."""
        turns = fields.get("conversations")
        return isinstance(turns, list) and all(
            isinstance(turn, dict) and "from" in turn for turn in turns
        )

    def outcome(self, fields: Fields) -> Outcome:
        """Return the example, or why the turns are none."""
        try:
            return as_example(_turns(fields))
        except UnusableError as error:
            return removed(error)


def _turns(fields: Fields) -> Iterator[Turn]:
    system = text_of(fields, "system", needed=False)
    if system:
        yield Turn("system", system)

    turns = fields.get("conversations")
    if not isinstance(turns, list):
        raise UnusableError(Code.MISSING_FIELD, "conversations is not a list")

    for turn in turns:
        if not isinstance(turn, dict):
            raise UnusableError(Code.MISSING_FIELD, "a turn is not an object")
        role = _ROLES.get(str(turn.get("from")))
        if role is None:
            raise UnusableError(Code.WRONG_TURNS, "a turn of a tool, or of an unknown speaker")
        yield Turn(role, text_of(turn, "value"))
