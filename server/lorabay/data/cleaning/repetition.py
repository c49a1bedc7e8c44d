"""Answers of a model in a loop: the same few words again and again."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

from lorabay.data.reasons import Code, Note

if TYPE_CHECKING:
    from lorabay.data.example import Example

_LEAST_CHARS = 80
_LEAST_LINES = 6
_LOOP = re.compile(r"(.{2,40}?)\1{7,}", re.DOTALL)


def is_repetitive(example: Example) -> Note | None:
    """Return how an answer repeats itself."""
    answer = example.output
    if len(answer) < _LEAST_CHARS:
        return None

    lines = [line.strip() for line in answer.split("\n") if line.strip()]
    if len(lines) >= _LEAST_LINES and 2 * len(set(lines)) < len(lines):
        return Note(Code.REPETITIVE_ANSWER, f"{len(set(lines))} of {len(lines)} lines differ")

    # A loop packs to a tenth; a plain text to a half. The search for it is dear, packing is not.
    data = answer.encode("utf-8", "surrogatepass")
    if 4 * len(zlib.compress(data, 1)) > len(data):
        return None
    loop = _LOOP.search(answer)
    if loop is not None and any(char.isalnum() for char in loop[1]):
        return Note(Code.REPETITIVE_ANSWER, f"{len(loop[0]) // len(loop[1])} times the same words")
    return None
