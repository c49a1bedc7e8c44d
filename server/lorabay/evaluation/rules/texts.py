"""Rule `text`: something stands in an answer, or does not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from lorabay.evaluation.rules.case import TABLE

if TYPE_CHECKING:
    from lorabay.evaluation.rules.case import Case

Place = Literal["anywhere", "first line", "last line"]


class TextRule(BaseModel):
    """One of some texts stands in the answer, or a regular expression fits a part of it."""

    model_config = TABLE

    kind: Literal["text"]
    name: Annotated[str, Field(min_length=1)]
    any: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Texts of which one has to be there, as they are written."""
    pattern: str | None = None
    """A regular expression of Python; `^` and `$` are ends of lines."""
    where: Place = "anywhere"
    """The part of the answer that counts."""
    absent: bool = False
    """True if it must not be there."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.any and self.pattern is None:
            raise ValueError("needs `any` or `pattern`")
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(f"pattern is not a regular expression: {error}") from error
        return self

    def problem(self, case: Case) -> str | None:
        found = self._found(_part(case.answer, self.where))
        if self.absent:
            return None if found is None else f"has {found!r}"
        return "is missing" if found is None else None

    def _found(self, text: str) -> str | None:
        """Return the first of what is looked for; None if nothing is there."""
        for wanted in self.any:
            if wanted in text:
                return wanted
        if self.pattern is not None and (match := re.search(self.pattern, text, re.MULTILINE)):
            return match[0]
        return None


def _part(answer: str, where: Place) -> str:
    lines = [line for line in answer.splitlines() if line.strip()]
    if where == "anywhere" or not lines:
        return answer
    return lines[0] if where == "first line" else lines[-1]
