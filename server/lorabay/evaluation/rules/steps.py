"""Rule `steps`: an answer has steps that are numbered from one without a gap."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from lorabay.evaluation.rules.case import TABLE

if TYPE_CHECKING:
    from lorabay.evaluation.rules.case import Case

STEP = r"^\s*(?:(?:Step|STEP|步骤)\s*)?第?(\d+)(?:步[：:、]?|[.):：、．])"
"""`1.`, `2)`, `Step 3:`, `步骤4：` and `第5步` at the beginning of a line."""


class StepsRule(BaseModel):
    """The steps of an answer are numbered 1, 2, 3 and so on."""

    model_config = TABLE

    kind: Literal["steps"]
    name: Annotated[str, Field(min_length=1)]
    at_least: Annotated[int, Field(ge=1)] = 2
    """The fewest steps."""
    pattern: str = STEP
    """A regular expression whose first group is the number of a step."""

    @model_validator(mode="after")
    def _has_a_group(self) -> Self:
        try:
            groups = re.compile(self.pattern).groups
        except re.error as error:
            raise ValueError(f"pattern is not a regular expression: {error}") from error
        if groups < 1:
            raise ValueError("pattern needs a group around the number")
        return self

    def problem(self, case: Case) -> str | None:
        found = re.finditer(self.pattern, case.answer, re.MULTILINE)
        numbers = [match[1] for match in found]
        if len(numbers) < self.at_least:
            return f"{len(numbers)} numbered steps, at least {self.at_least} are wanted"

        if numbers != [str(number) for number in range(1, len(numbers) + 1)]:
            return f"steps are numbered {', '.join(numbers)}"
        return None
