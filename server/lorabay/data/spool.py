"""The examples that were kept so far, on disk, and a few numbers of each in memory.

About 70 bytes a row are in memory, whatever its length. Rows are numbered in the order in which
they were added. Does not know why a row was kept.
"""

from __future__ import annotations

import os
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from lorabay.data.example import example_of_line
from lorabay.data.matching import digest, matching, matching_example

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lorabay.data.example import Example

_NONE = 0


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row came from: its place, its file's part (-1 for none), customer and time."""

    source: str
    part: int = -1
    customer: str | None = None
    time: float = float("-inf")


class Spool:
    """The rows; written first, then read in any order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offsets = array("Q", [0])
        self._digests = array("Q")
        self._questions = array("Q")
        self._customers = array("Q")
        self._times = array("d")
        self._parts = array("b")
        self._question_chars = array("L")
        self._answer_chars = array("L")
        self._turns = array("L")

    def __enter__(self) -> Self:
        self._file = self._path.open("w+b")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._parts)

    def add(self, example: Example, origin: Origin) -> str:
        """Keep an example, and return the form of it for comparing."""
        # A tab is in no line: JSON escapes it.
        record = f"{example.as_line()}\t{origin.source}".encode("utf-8", "backslashreplace")
        self._file.write(record)
        self._offsets.append(self._offsets[-1] + len(record))

        said = matching_example(example)
        both = digest(said)
        self._digests.append(int.from_bytes(both[:8], "little"))
        self._digests.append(int.from_bytes(both[8:], "little"))
        self._questions.append(_number(matching("\n".join(_questions(example)))))
        self._customers.append(_NONE if origin.customer is None else _number(origin.customer))
        self._times.append(origin.time)
        self._parts.append(origin.part)
        self._question_chars.append(len(example.question))
        self._answer_chars.append(len(example.output))
        self._turns.append(len(example.history) + 1)
        return said

    def flush(self) -> None:
        """Bring all rows to where they can be read."""
        self._file.flush()

    def line(self, row: int) -> bytes:
        """Return the line of JSON that stands for a row."""
        return self._record(row)[0]

    def source(self, row: int) -> str:
        """Return where a row came from."""
        return self._record(row)[1].decode()

    def said(self, row: int) -> str:
        """Return the form of a row for comparing, as `add` did."""
        return matching_example(example_of_line(self.line(row)))

    @property
    def digests(self) -> NDArray[np.uint64]:
        """Two numbers a row, equal for rows that say the same."""
        return np.array(self._digests, dtype=np.uint64).reshape(-1, 2)

    @property
    def questions(self) -> NDArray[np.uint64]:
        """A number a row, equal for rows that ask the same."""
        return np.array(self._questions, dtype=np.uint64)

    @property
    def customers(self) -> NDArray[np.uint64]:
        """A number a row, equal for the same customer; 0 for none."""
        return np.array(self._customers, dtype=np.uint64)

    @property
    def times(self) -> NDArray[np.float64]:
        """Seconds since 1970; minus infinity where none is known."""
        return np.array(self._times, dtype=np.float64)

    @property
    def parts(self) -> NDArray[np.int64]:
        """The part of the file that each row came from; -1 for none."""
        return np.array(self._parts, dtype=np.int64)

    @property
    def question_chars(self) -> NDArray[np.int64]:
        """Characters of the last question."""
        return np.array(self._question_chars, dtype=np.int64)

    @property
    def answer_chars(self) -> NDArray[np.int64]:
        """Characters of the last answer."""
        return np.array(self._answer_chars, dtype=np.int64)

    @property
    def turns(self) -> NDArray[np.int64]:
        """Questions with an answer."""
        return np.array(self._turns, dtype=np.int64)

    def _record(self, row: int) -> tuple[bytes, bytes]:
        start = self._offsets[row]
        record = os.pread(self._file.fileno(), self._offsets[row + 1] - start, start)
        line, _, source = record.partition(b"\t")
        return line, source


def _questions(example: Example) -> list[str]:
    return [*(question for question, _ in example.history), example.question]


def _number(text: str) -> int:
    # Never 0, which stands for none.
    return int.from_bytes(digest(text)[:8], "little") | 1
