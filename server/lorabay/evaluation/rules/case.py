"""One answer as a rule sees it, the form of a rule, and how tables of `checks.toml` are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pydantic import ConfigDict

if TYPE_CHECKING:
    from lorabay.evaluation.rules.fact_sheet import FactSheet

TABLE = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)
"""Unknown keys are refused, and no value is taken for another."""


@dataclass(frozen=True, slots=True)
class Case:
    """An answer, its question, and what it is held against.

    `sheet` has the facts of the domain, if there are any. `accepted` are texts of which a right
    answer has one, if the question has such.
    """

    answer: str
    question: str
    sheet: FactSheet | None = None
    accepted: tuple[str, ...] = ()


class Rule(Protocol):
    """Something that holds for a good answer."""

    @property
    def name(self) -> str:
        """What a report calls it."""
        ...

    def problem(self, case: Case) -> str | None:
        """Return what is wrong with an answer, in a few words; None if the rule holds."""
        ...
