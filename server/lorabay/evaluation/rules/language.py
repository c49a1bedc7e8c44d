"""Rule `language`: an answer is in the language of its question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, Field

from lorabay.evaluation.rules.case import TABLE
from lorabay.evaluation.words import chinese_share

if TYPE_CHECKING:
    from lorabay.evaluation.rules.case import Case

_MOSTLY = 0.5
"""Share of Chinese characters from which on a text is Chinese: names of products may be Latin."""


class LanguageRule(BaseModel):
    """A Chinese question has a Chinese answer, and no other question has one."""

    model_config = TABLE

    kind: Literal["language"]
    name: Annotated[str, Field(min_length=1)]

    def problem(self, case: Case) -> str | None:
        # What follows the first line may be a text in another language that the question is about.
        asked = case.question.strip().partition("\n")[0]
        asked_in_chinese = chinese_share(asked) >= _MOSTLY
        answered_in_chinese = chinese_share(case.answer) >= _MOSTLY
        if asked_in_chinese == answered_in_chinese:
            return None
        return "is Chinese" if answered_in_chinese else "is not Chinese"
