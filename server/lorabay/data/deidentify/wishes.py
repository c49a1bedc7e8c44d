"""What a user can choose of a de-identification, and the step that this comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.data.deidentify.deidentifier import Deidentifier
from lorabay.data.deidentify.replacing import surrogates, tag
from lorabay.data.recognisers.finder import Finder
from lorabay.data.recognisers.own import own_recognisers
from lorabay.data.recognisers.table import RECOGNISERS
from lorabay.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.data.deidentify.keys import Key

BY = ("surrogates", "tags")
"""What personal data can be replaced by."""


@dataclass(frozen=True, slots=True)
class DeidentifyWishes:
    """What is replaced, and by what; `keep` names kinds that stay."""

    by: str = "surrogates"
    key: Key | None = None
    recognisers: Path | None = None
    keep: frozenset[str] = frozenset()


def check_choice(by: str) -> None:
    """Raise UsageError for what nothing can be replaced by."""
    if by not in BY:
        raise UsageError(f"{by!r}: personal data is replaced by {' or '.join(BY)}")


def finder(wishes: DeidentifyWishes) -> Finder:
    """Return the recognisers that look; raises UsageError for a kind that there is not."""
    own = {} if wishes.recognisers is None else own_recognisers(wishes.recognisers)
    recognisers = {**RECOGNISERS, **own}
    unknown = sorted(wishes.keep - set(recognisers))
    if unknown:
        raise UsageError(f"--keep {unknown[0]!r}: the kinds are {', '.join(recognisers)}")
    return Finder({name: one for name, one in recognisers.items() if name not in wishes.keep})


def deidentifier(wishes: DeidentifyWishes) -> Deidentifier:
    """Return the step; raises UsageError for wishes that cannot be had."""
    check_choice(wishes.by)
    if wishes.by == "tags":
        return Deidentifier(finder(wishes), tag)
    if wishes.key is None:
        raise UsageError("surrogates need a key")
    return Deidentifier(finder(wishes), surrogates(wishes.key))
