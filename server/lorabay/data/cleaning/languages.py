"""Which language an example is in, by py3langid, and whether that is one that is wanted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from lorabay.data.reasons import Code, Note
from lorabay.errors import UsageError

if TYPE_CHECKING:
    from lorabay.data.example import Example

UNKNOWN = "?"
"""The language of a text that is too short to tell."""

_LEAST_LATIN, _LEAST_OTHER = 24, 8
_ENOUGH_CHARS = 2000
_CHINESE = re.compile("[\u4e00-\u9fff]")
_KANA_OR_HANGUL = re.compile("[\u3040-\u30ff\uac00-\ud7af]")


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)


def language_of(text: str) -> str:
    """Return the two letters of ISO 639-1 for the language of a text; UNKNOWN for a short one."""
    letters = sum(char.isalpha() for char in text)
    # One of Chinese and Japanese says as much as a few letters.
    chinese = len(_CHINESE.findall(text))
    if letters < (_LEAST_OTHER if chinese else _LEAST_LATIN):
        return UNKNOWN

    # Chinese with some English in it is Chinese: a model of bytes would count them as equals.
    if 3 * chinese >= letters and not _KANA_OR_HANGUL.search(text):
        return "zh"
    return str(_identifier().classify(text[:_ENOUGH_CHARS])[0])


def spoken_language(example: Example) -> str:
    """Return the language of an example: that of its answer, or of all if that is short."""
    of_answer = language_of(example.output)
    return of_answer if of_answer != UNKNOWN else language_of("\n".join(example.spoken))


@dataclass(frozen=True, slots=True)
class WantedLanguages:
    """The languages that examples may be in."""

    codes: frozenset[str]

    def judge(self, example: Example) -> Note | None:
        """Return the language, if it can be told and is not wanted."""
        found = spoken_language(example)
        wanted = found == UNKNOWN or found in self.codes
        return None if wanted else Note(Code.WRONG_LANGUAGE, found)


def wanted_languages(wish: str) -> WantedLanguages:
    """Return the languages of a list such as `zh,en`; raises UsageError for no such language."""
    codes = frozenset(code.strip() for code in wish.split(",") if code.strip())
    unknown = sorted(codes - set(_identifier().labels))
    if unknown or not codes:
        raise UsageError(
            f"--language {wish!r}: two letters a language, as in zh,en; not known: "
            f"{', '.join(unknown) or 'none is named'}"
        )
    return WantedLanguages(codes)
