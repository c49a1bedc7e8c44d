"""What a recogniser is, and what it finds.

A finding's fields are those of Presidio's `RecognizerResult`. A score below `ENOUGH` is a guess
that nothing confirms.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lorabay.data.recognisers.view import View

ENOUGH = 0.5
"""The least score that counts."""


class Kind(StrEnum):
    """The built-in kinds; a file may bring others."""

    NAME = "NAME"
    ADDRESS = "ADDRESS"
    PHONE = "PHONE"
    EMAIL = "EMAIL"
    IDENTITY_CARD = "IDENTITY_CARD"
    PASSPORT = "PASSPORT"
    BANK_CARD = "BANK_CARD"
    LICENCE_PLATE = "LICENCE_PLATE"
    COMPANY_CODE = "COMPANY_CODE"
    IP_ADDRESS = "IP_ADDRESS"
    URL_TOKEN = "URL_TOKEN"  # noqa: S105 - the name of a kind
    BIRTH_DATE = "BIRTH_DATE"


@dataclass(frozen=True, slots=True)
class Finding:
    """A place in a text and what stands there, with a score from 0 to 1."""

    entity_type: str
    start: int
    end: int
    score: float

    def overlaps(self, other: Finding) -> bool:
        """Return whether both share a character."""
        return self.start < other.end and other.start < self.end


class Recogniser(Protocol):
    """One way to find something."""

    def __call__(self, view: View) -> Iterable[Finding]:
        """Yield what stands in a text, in any order; findings may overlap."""
        ...
