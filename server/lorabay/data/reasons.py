"""Why a row was removed or changed: a code for programs, its step, and a sentence for people.

Owns every code there is. Knows nothing of how a step finds what it looks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.data.example import Example


class Code(StrEnum):
    """A reason, as it stands in the list of changes."""

    BROKEN_LINE = "broken_line"
    BROKEN_ENCODING = "broken_encoding"
    LINE_TOO_LONG = "line_too_long"
    MISSING_FIELD = "missing_field"
    WRONG_TURNS = "wrong_turns"
    ENCODING_REPAIRED = "encoding_repaired"
    TURNS_DROPPED = "turns_dropped"
    SYSTEM_MOVED = "system_moved"
    DEIDENTIFIED = "deidentified"
    MOJIBAKE_REPAIRED = "mojibake_repaired"
    CHARACTERS_REMOVED = "characters_removed"
    MARKUP_REMOVED = "markup_removed"
    BOILERPLATE_REMOVED = "boilerplate_removed"
    LINES_COLLAPSED = "lines_collapsed"
    WHITESPACE_TRIMMED = "whitespace_trimmed"
    UNSTABLE_TEXT = "unstable_text"
    EMPTY_QUESTION = "empty_question"
    EMPTY_ANSWER = "empty_answer"
    TOO_LONG = "too_long"
    WRONG_LANGUAGE = "wrong_language"
    TRUNCATED_ANSWER = "truncated_answer"
    REPETITIVE_ANSWER = "repetitive_answer"
    ANSWER_IN_QUESTION = "answer_in_question"
    NOT_RENDERED = "not_rendered"
    EXACT_DUPLICATE = "exact_duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    LEAK = "leak"


@dataclass(frozen=True, slots=True)
class Meaning:
    """The step that gives a reason, whether it removes the row, and what it means."""

    step: str
    removes: bool
    text: str


MEANINGS: Mapping[Code, Meaning] = {
    Code.BROKEN_LINE: Meaning("read", True, "What stands there is not what the file's type says."),
    Code.BROKEN_ENCODING: Meaning("read", True, "Its bytes are text in no encoding that is tried."),
    Code.LINE_TOO_LONG: Meaning("read", True, "It is longer than `--max-line-mib`."),
    Code.MISSING_FIELD: Meaning("read", True, "A field is missing, or holds something else."),
    Code.WRONG_TURNS: Meaning(
        "read", True, "The conversation has roles that cannot be learnt, or no answer."
    ),
    Code.ENCODING_REPAIRED: Meaning(
        "read", False, "It was not UTF-8 and was read in the encoding that is named."
    ),
    Code.TURNS_DROPPED: Meaning(
        "read",
        False,
        "Answers before the first question, or questions after the last answer, went.",
    ),
    Code.SYSTEM_MOVED: Meaning(
        "template", False, "The system message went into the first question, or was dropped."
    ),
    Code.MOJIBAKE_REPAIRED: Meaning(
        "encoding", False, "Letters that a wrong encoding had spoiled are right again."
    ),
    Code.CHARACTERS_REMOVED: Meaning(
        "characters", False, "Control characters, or ones without width, went."
    ),
    Code.MARKUP_REMOVED: Meaning("markup", False, "HTML became plain text."),
    Code.BOILERPLATE_REMOVED: Meaning(
        "boilerplate", False, "Lines that say nothing of the matter went."
    ),
    Code.LINES_COLLAPSED: Meaning(
        "lines", False, "A line that stood there again and again is one."
    ),
    Code.WHITESPACE_TRIMMED: Meaning(
        "whitespace", False, "Spaces at the ends of lines, or empty lines, went."
    ),
    Code.UNSTABLE_TEXT: Meaning("clean", True, "Cleaning it again and again changes it each time."),
    Code.EMPTY_QUESTION: Meaning("empty", True, "Nothing is left of a question."),
    Code.EMPTY_ANSWER: Meaning("empty", True, "Nothing is left of an answer."),
    Code.TOO_LONG: Meaning("length", True, "It is longer than `--max-chars` or `--max-tokens`."),
    Code.WRONG_LANGUAGE: Meaning("language", True, "It is in none of the `--language`s."),
    Code.TRUNCATED_ANSWER: Meaning("truncation", True, "The answer ends in the middle."),
    Code.REPETITIVE_ANSWER: Meaning(
        "repetition", True, "The answer says the same few words again and again."
    ),
    Code.ANSWER_IN_QUESTION: Meaning(
        "giveaway", True, "The question holds the answer word for word."
    ),
    Code.DEIDENTIFIED: Meaning("deidentify", False, "Personal data was replaced, of these kinds."),
    Code.NOT_RENDERED: Meaning("template", True, "The base's chat template refuses or loses it."),
    Code.EXACT_DUPLICATE: Meaning(
        "duplicates", True, "Another row says the same but for case, width and spaces."
    ),
    Code.NEAR_DUPLICATE: Meaning(
        "duplicates", True, "Another row is as similar as `--similarity`."
    ),
    Code.LEAK: Meaning(
        "duplicates", True, "A row of dev or test says or asks the same (`--split-by parts`)."
    ),
}
"""What each code means, in the order of the steps."""


@dataclass(frozen=True, slots=True)
class Note:
    """One reason for one row; `detail` says how much, never what the row says."""

    code: Code
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """An example that goes on, with what was changed."""

    example: Example
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Removed:
    """A row that does not go on."""

    note: Note


Outcome = Kept | Removed
