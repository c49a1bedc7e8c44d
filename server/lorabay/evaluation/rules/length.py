"""Rule `length`: an answer is neither too short nor too long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, Field

from lorabay.evaluation.rules.case import TABLE
from lorabay.evaluation.words import words

if TYPE_CHECKING:
    from lorabay.evaluation.rules.case import Case


class LengthRule(BaseModel):
    """The number of words is in a range; a Chinese character counts as a word."""

    model_config = TABLE

    kind: Literal["length"]
    name: Annotated[str, Field(min_length=1)]
    at_least: Annotated[int, Field(ge=0)] = 1
    """The fewest words."""
    at_most: Annotated[int, Field(ge=1)] = 400
    """The most words."""

    def problem(self, case: Case) -> str | None:
        count = len(words(case.answer))
        if self.at_least <= count <= self.at_most:
            return None
        return f"{count} words, {self.at_least} to {self.at_most} are wanted"
