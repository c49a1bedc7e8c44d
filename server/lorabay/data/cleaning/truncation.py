"""Answers that end in the middle: where a limit of tokens or of a column cut them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.reasons import Code, Note

if TYPE_CHECKING:
    from lorabay.data.example import Example

_OPEN_END = re.compile(r"[,;:、，；：(\[{（【“「《‘=+/&-]\Z")

# Words that an English sentence does not end with.
_GOES_ON = re.compile(
    r"\b(?:an?|and|are|as|at|because|but|by|for|from|if|in|into|is|nor|of|on|or|than|that|the|their|"
    r"this|to|was|were|which|will|with|your)\Z",
    re.IGNORECASE,
)
_CHINESE_GOES_ON = re.compile(
    "(?:以及|因为|并且|或者|而且|如果|但是|所以|例如|比如|和|与|及|或|把|被|从|将)\\Z"
)
_ENDS_SENTENCE = re.compile(r"[.!?…。！？~～)\]}）】”」》’\"'`*|>:\d]\Z")

COLUMN_SIZES = frozenset({255, 256, 500, 512, 1000, 1023, 1024, 2000, 2047, 2048, 4000, 4095, 4096})
"""Characters after which columns of databases and exports cut."""

_LEAST_WORDS, _LEAST_LATIN, _LEAST_OTHER = 4, 16, 8
"""Words, or characters, of an answer that is looked at; Chinese says more in fewer."""


def is_truncated(example: Example) -> Note | None:
    """Return how an answer shows that it was cut."""
    answer = example.output
    if answer.count("```") % 2:
        return Note(Code.TRUNCATED_ANSWER, "a block of code does not end")
    # A few words are no sentence: "Price:" may be all that was asked for.
    least = _LEAST_LATIN if answer.isascii() else _LEAST_OTHER
    if len(answer.split()) < _LEAST_WORDS and len(answer) < least:
        return None

    if _OPEN_END.search(answer):
        return Note(Code.TRUNCATED_ANSWER, "it ends with a sign that more follows")
    if _GOES_ON.search(answer) or _CHINESE_GOES_ON.search(answer):
        return Note(Code.TRUNCATED_ANSWER, "it ends with a word that more follows")
    if len(answer) in COLUMN_SIZES and not _ENDS_SENTENCE.search(answer):
        return Note(Code.TRUNCATED_ANSWER, f"no end of a sentence at character {len(answer)}")
    return None
