"""The list of every row that was removed or changed, one line each, and how many there were.

A line names the row by its file and its place there, and says nothing of what the row says.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Self

from lorabay.data.reasons import MEANINGS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lorabay.data.reasons import Code, Note


class Changes:
    """The list as it is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.counts: Counter[Code] = Counter()

    def __enter__(self) -> Self:
        self._file = self._path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, source: str, notes: Iterable[Note]) -> None:
        """Write a line for each reason of one row."""
        for note in notes:
            self.counts[note.code] += 1
            meaning = MEANINGS[note.code]
            line = {
                "source": source,
                "what": "removed" if meaning.removes else "changed",
                "step": meaning.step,
                "reason": str(note.code),
            }
            if note.detail:
                line["detail"] = note.detail
            self._file.write(f"{json.dumps(line, ensure_ascii=False)}\n")
