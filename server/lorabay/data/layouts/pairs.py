"""Plain pairs: a question and an answer by any of their usual names, or by names that are given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lorabay.data.example import Example
from lorabay.data.layouts.layout import UnusableError, removed, text_of
from lorabay.data.reasons import Code, Kept
from lorabay.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.data.reading.records import Fields
    from lorabay.data.reasons import Outcome

PARTS = ("instruction", "input", "output", "system")
"""Parts of an example that a field may hold."""

USUAL: tuple[tuple[str, str], ...] = (
    ("question", "answer"),
    ("prompt", "completion"),
    ("prompt", "response"),
    ("instruction", "response"),
    ("query", "response"),
    ("query", "answer"),
    ("input", "output"),
    ("user", "assistant"),
    ("q", "a"),
    ("问题", "回答"),
    ("问题", "答案"),
    ("问", "答"),
)
"""Names of fields for a question and its answer."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """A question and its answer; `names` says which field is which part, if that is known."""

    names: Mapping[str, str] = field(default_factory=dict)

    def fits(self, fields: Fields) -> bool:
        """Return whether there are fields for a question and for an answer."""
        return self._names(fields) is not None

    def outcome(self, fields: Fields) -> Outcome:
        """Return the example, or which field is missing."""
        try:
            names = self._names(fields)
            if names is None:
                raise UnusableError(Code.MISSING_FIELD, "no pair of question and answer")
            return Kept(
                Example(
                    instruction=text_of(fields, names["instruction"]),
                    output=text_of(fields, names["output"]),
                    input=_optional(fields, names, "input"),
                    system=_optional(fields, names, "system"),
                )
            )
        except UnusableError as error:
            return removed(error)

    def _names(self, fields: Fields) -> Mapping[str, str] | None:
        if self.names:
            there = all(self.names[part] in fields for part in ("instruction", "output"))
            return self.names if there else None

        lower = {name.lower().strip(): name for name in fields}
        for question, answer in USUAL:
            if question in lower and answer in lower:
                pair = {"instruction": lower[question], "output": lower[answer]}
                optional = {"input": "context", "system": "system"}
                return pair | {
                    part: lower[name] for part, name in optional.items() if name in lower
                }
        return None


def _optional(fields: Fields, names: Mapping[str, str], part: str) -> str:
    return text_of(fields, names[part], needed=False) if part in names else ""


def names_of(wish: str) -> dict[str, str]:
    """Return the fields that `PART=FIELD,...` names; raises UsageError for anything else."""
    names = {}
    for item in filter(None, wish.split(",")):
        part, _, name = item.partition("=")
        if part.strip() not in PARTS or not name.strip():
            raise UsageError(f"--fields takes PART=FIELD, with PART one of {', '.join(PARTS)}")
        names[part.strip()] = name.strip()

    if names and not {"instruction", "output"} <= set(names):
        raise UsageError("--fields has to name the fields of the instruction and of the output")
    return names
