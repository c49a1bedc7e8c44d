"""Rule `facts`: the figures of an answer are those of the facts.

A figure is right if it stands in the question, in a fact about what its line names, or in a fact
that is about nothing by name. Where the line names nothing, all facts count. What an answer works
out itself, such as a sum, stands in no fact and counts as wrong: the share of the reference answers
that pass says how often that is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, Field

from lorabay.evaluation.rules.case import TABLE
from lorabay.evaluation.rules.figures import Figure, figures

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lorabay.evaluation.rules.case import Case
    from lorabay.evaluation.rules.fact_sheet import FactSheet


class FactsRule(BaseModel):
    """Every figure is right."""

    model_config = TABLE

    kind: Literal["facts"]
    name: Annotated[str, Field(min_length=1)]

    def problem(self, case: Case) -> str | None:
        if case.sheet is None:
            return None

        asked = figures(case.question)
        wrong = []
        for line in case.answer.splitlines():
            facts = case.sheet.about(case.sheet.named_in(line))
            known = [*asked, *(figure for fact in facts for figure in fact.figures)]
            wrong += [_complaint(figure, case.sheet) for figure in _strange(figures(line), known)]

        return "; ".join(dict.fromkeys(wrong)) or None


def _strange(found: Iterable[Figure], known: Iterable[Figure]) -> list[Figure]:
    """Return the figures that are not among those that are known."""
    known = tuple(known)
    return [figure for figure in found if not any(figure.says(other) for other in known)]


def _complaint(figure: Figure, sheet: FactSheet) -> str:
    elsewhere = any(figure.says(other) for fact in sheet.facts for other in fact.figures)
    return f"{figure.text} is of something else" if elsewhere else f"{figure.text} is in no fact"
