"""Rule `personal_data`: an answer brings no personal data of its own.

What stands in the question or in the facts may be repeated. What personal data is, the recognisers
of `data` say, the same that de-identify data to learn from. Names and addresses are only looked for
if `kinds` asks for them: they are recognised by rules that are wrong now and then.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, Field

from lorabay.data.libraries import check_libraries
from lorabay.data.recognisers.finder import Finder
from lorabay.data.recognisers.finding import Kind
from lorabay.data.recognisers.table import RECOGNISERS
from lorabay.evaluation.rules.case import TABLE

if TYPE_CHECKING:
    from lorabay.evaluation.rules.case import Case

NUMBERS = (
    Kind.EMAIL,
    Kind.PHONE,
    Kind.IDENTITY_CARD,
    Kind.BANK_CARD,
    Kind.PASSPORT,
    Kind.LICENCE_PLATE,
)
"""Kinds that are known by their form or by a check digit."""

_CALLED = {
    Kind.EMAIL: "e-mail address",
    Kind.PHONE: "phone number",
    Kind.BANK_CARD: "card number",
}


class PersonalDataRule(BaseModel):
    """No personal data but those of the question and of the facts."""

    model_config = TABLE

    kind: Literal["personal_data"]
    name: Annotated[str, Field(min_length=1)]
    kinds: Annotated[
        tuple[Annotated[Kind, Field(strict=False)], ...], Field(strict=False, min_length=1)
    ] = NUMBERS

    def problem(self, case: Case) -> str | None:
        given = case.question + (case.sheet.text if case.sheet else "")
        (found,) = _finder(self.kinds).find([case.answer])
        for one in found:
            said = case.answer[one.start : one.end]
            if said not in given:
                return f"has the {called(one.entity_type)} {said}"
        return None


def called(kind: str) -> str:
    """Return what a kind is called in a sentence."""
    return _CALLED.get(Kind(kind), kind.lower().replace("_", " "))


@cache
def _finder(kinds: tuple[Kind, ...]) -> Finder:
    """Return the recognisers of some kinds; raises SetupError if their libraries are missing."""
    check_libraries()
    return Finder({kind: RECOGNISERS[kind] for kind in kinds})
