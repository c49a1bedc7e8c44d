"""Recognisers of a company's own, from a TOML file.

    [[recogniser]]
    name = "STAFF_ID"
    regex = 'EMP-\\d{6}'
    score = 0.3
    context = ["employee", "工号"]

A word of `context` within forty characters before what was found adds 0.35 to the score, as in
Presidio; from 0.5 on it counts.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lorabay.data.recognisers.cues import is_called
from lorabay.data.recognisers.finding import Finding
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lorabay.data.recognisers.view import View

FOR_CONTEXT = 0.35
"""What a word of the context adds to a score."""

_NAME = re.compile(r"[A-Z][A-Z0-9_]{1,39}")
_FIELDS = frozenset({"name", "regex", "score", "context"})


@dataclass(frozen=True, slots=True)
class OwnRecogniser:
    """One entry of the file."""

    name: str
    regex: re.Pattern[str]
    score: float
    context: re.Pattern[str] | None

    def __call__(self, view: View) -> Iterator[Finding]:
        """Yield what the regular expression matches."""
        for match in self.regex.finditer(view.plain):
            if match.end() == match.start():
                continue
            called = self.context is not None and is_called(
                view, *match.span(), self.context, after=0
            )
            score = min(1.0, self.score + FOR_CONTEXT) if called else self.score
            yield Finding(self.name, *match.span(), score)


def own_recognisers(path: Path) -> dict[str, OwnRecogniser]:
    """Return the recognisers of a file by their names; raises SetupError for what is not one."""
    try:
        text = path.read_text(encoding="utf-8")
        entries = tomllib.loads(text).get("recogniser")
    except (OSError, ValueError, RecursionError) as error:
        raise SetupError(f"cannot read the recognisers in {path}: {error}") from error

    if not isinstance(entries, list) or not entries:
        raise SetupError(f"{path} has no [[recogniser]]")
    found = [_recogniser(path, number, entry) for number, entry in enumerate(entries, start=1)]
    return {one.name: one for one in found}


def _recogniser(path: Path, number: int, entry: Any) -> OwnRecogniser:
    where = f"{path}: recogniser {number}"
    if not isinstance(entry, dict) or set(entry) - _FIELDS:
        raise SetupError(f"{where} has other fields than {', '.join(sorted(_FIELDS))}")

    name, regex = entry.get("name"), entry.get("regex")
    score, context = entry.get("score", 0.6), entry.get("context", [])
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SetupError(f"{where}: its name is capital letters, digits and _, as in STAFF_ID")
    if not isinstance(score, int | float) or not 0 < score <= 1:
        raise SetupError(f"{where}: its score is a number from 0 to 1")
    if not isinstance(context, list) or not all(isinstance(word, str) for word in context):
        raise SetupError(f"{where}: its context is a list of words")
    return OwnRecogniser(name, _compiled(where, regex), float(score), _any_of(context))


def _compiled(where: str, regex: object) -> re.Pattern[str]:
    if not isinstance(regex, str):
        raise SetupError(f"{where} has no regex")
    try:
        return re.compile(regex)
    except (re.error, OverflowError, RecursionError) as error:
        raise SetupError(f"{where}: its regex is none: {error}") from error


def _any_of(words: list[str]) -> re.Pattern[str] | None:
    if not words:
        return None
    return re.compile("|".join(map(re.escape, words)), re.IGNORECASE)
