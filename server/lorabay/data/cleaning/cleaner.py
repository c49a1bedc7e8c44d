"""All steps of cleaning in their order, as one function from an example to what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.data.cleaning.boilerplate import boilerplate
from lorabay.data.cleaning.characters import without_unseen
from lorabay.data.cleaning.encoding import repaired
from lorabay.data.cleaning.giveaway import gives_answer_away
from lorabay.data.cleaning.languages import wanted_languages
from lorabay.data.cleaning.lengths import MostChars, says_nothing
from lorabay.data.cleaning.lines import collapsed, trimmed
from lorabay.data.cleaning.markup import without_markup
from lorabay.data.cleaning.repetition import is_repetitive
from lorabay.data.cleaning.truncation import is_truncated
from lorabay.data.reasons import MEANINGS, Code, Kept, Note, Removed
from lorabay.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lorabay.data.example import Example
    from lorabay.data.reasons import Outcome

_MOST_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Change:
    """A step that makes a better text of a text, and the reason that it gives."""

    code: Code
    apply: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A step that says why an example has to go, or nothing; it sees what the changes have left."""

    name: str
    judge: Callable[[Example], Note | None]


@dataclass(frozen=True, slots=True)
class CleaningWishes:
    """What is cleaned away; `skip` names steps that are left out."""

    max_chars: int = 16_000
    languages: str | None = None
    boilerplate: Path | None = None
    skip: frozenset[str] = frozenset()


class Cleaner:
    """The steps that are taken."""

    def __init__(self, changes: tuple[Change, ...], judgements: tuple[Judgement, ...]) -> None:
        self._changes = changes
        self._judgements = judgements

    def clean(self, example: Example) -> Outcome:
        """Return the example as the steps leave it, with what they changed; or why it has to go."""
        cleaned = self._changed(example)
        if isinstance(cleaned, Removed):
            return cleaned

        for judgement in self._judgements:
            note = judgement.judge(cleaned.example)
            if note is not None:
                return Removed(note)
        return cleaned

    def _changed(self, example: Example) -> Outcome:
        codes: set[Code] = set()
        for _ in range(_MOST_ROUNDS):
            before = example
            for change in self._changes:
                after = example.with_texts(change.apply)
                if after != example:
                    codes.add(change.code)
                example = after
            # Entities may hold tags, and tags lines: a round may find what the one before made.
            if example == before:
                notes = [Note(change.code) for change in self._changes if change.code in codes]
                return Kept(example, tuple(notes))
        return Removed(Note(Code.UNSTABLE_TEXT))


def cleaner(wishes: CleaningWishes) -> Cleaner:
    """Return the cleaner for what is wished; raises UsageError for a step that there is not."""
    changes = (
        Change(Code.MOJIBAKE_REPAIRED, repaired),
        Change(Code.CHARACTERS_REMOVED, without_unseen),
        Change(Code.MARKUP_REMOVED, without_markup),
        Change(Code.BOILERPLATE_REMOVED, boilerplate(wishes.boilerplate).without),
        Change(Code.LINES_COLLAPSED, collapsed),
        Change(Code.WHITESPACE_TRIMMED, trimmed),
    )
    judgements = [
        Judgement("empty", says_nothing),
        Judgement("length", MostChars(wishes.max_chars).judge),
        Judgement("truncation", is_truncated),
        Judgement("repetition", is_repetitive),
        Judgement("giveaway", gives_answer_away),
    ]
    if wishes.languages is not None:
        judgements.insert(2, Judgement("language", wanted_languages(wishes.languages).judge))

    _check_steps(wishes.skip)
    return Cleaner(
        tuple(one for one in changes if MEANINGS[one.code].step not in wishes.skip),
        tuple(one for one in judgements if one.name not in wishes.skip),
    )


SKIPPABLE = (
    "encoding",
    "characters",
    "markup",
    "boilerplate",
    "lines",
    "whitespace",
    "length",
    "language",
    "truncation",
    "repetition",
    "giveaway",
)
"""Steps that can be left out. An example without a question or an answer teaches nothing."""


def _check_steps(names: frozenset[str]) -> None:
    unknown = sorted(names - set(SKIPPABLE))
    if unknown:
        raise UsageError(
            f"--skip {unknown[0]!r}: the steps that can be left out are {', '.join(SKIPPABLE)}"
        )
