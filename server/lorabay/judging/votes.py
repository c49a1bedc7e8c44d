"""The votes of all judges, on disk when they count, and where each judge stands.

A vote may be taken back, which is a line of its own: the newest line of a judge and a place stands.
One process at a time keeps a folder's votes; a report may read beside it. Not safe for threads.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from lorabay.errors import SetupError
from lorabay.files.append_log import START, LogReader, LogWriter, claim

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


class Choice(StrEnum):
    """What a judge says of two answers."""

    LEFT = "left"
    RIGHT = "right"
    TIE = "tie"


class Line(NamedTuple):
    """One line of the log: no choice means that the vote at this place is taken back."""

    judge: str
    place: int
    choice: Choice | None
    at: str


Votes = dict[int, Choice]
"""The standing votes of one judge by their places on the sheet, oldest vote first."""


def read_votes(folder: Path) -> dict[str, Votes]:
    """Return the standing votes of each judge; raise SetupError if they cannot be read.

    A line that a kill or a full disk has torn is no vote.
    """
    votes: dict[str, Votes] = {}
    reader, place = LogReader(folder), START
    try:
        while True:
            found = reader.read(place)
            if not found.lines and not found.damaged:
                return votes
            for line in found.lines:
                _count(votes, _parsed(line))
            place = found.end
    except (OSError, ValueError, TypeError) as error:
        raise SetupError(f"cannot read the votes in {folder}: {error}") from error


def _parsed(line: bytes) -> Line:
    judge, place, choice, at = json.loads(line)
    return Line(judge, place, None if choice is None else Choice(choice), at)


def _count(votes: dict[str, Votes], line: Line) -> None:
    own = votes.setdefault(line.judge, {})
    own.pop(line.place, None)
    if line.choice is not None:
        own[line.place] = line.choice


class VoteBook:
    """Keeps the votes of a folder while a site is open.

    Raises SetupError if another process has the folder, or if its votes cannot be read.
    """

    def __init__(self, folder: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)):
        self._clock = clock
        try:
            self._claim = claim(folder)
        except OSError as error:
            raise SetupError(f"cannot keep votes in {folder}: {error}") from error
        if self._claim is None:
            raise SetupError(f"another `lorabay judge serve` keeps the votes in {folder}")
        self._votes = read_votes(folder)
        self._writer = LogWriter(folder)

    def of(self, judge: str) -> Mapping[int, Choice]:
        """Return the standing votes of a judge, oldest first."""
        return self._votes.get(judge, {})

    def cast(self, judge: str, place: int, choice: Choice) -> None:
        """Keep a vote; it is on disk when this returns. Raise OSError, and count nothing then."""
        self._write(Line(judge, place, choice, self._now()))

    def take_back(self, judge: str) -> int | None:
        """Take back the newest vote of a judge, and return its place; None if there is none."""
        own = self._votes.get(judge)
        if not own:
            return None
        place = next(reversed(own))
        self._write(Line(judge, place, None, self._now()))
        return place

    def close(self) -> None:
        """Let another process have the folder."""
        self._writer.close()
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    def _write(self, line: Line) -> None:
        self._writer.append([json.dumps(line, ensure_ascii=False).encode()])
        _count(self._votes, line)

    def _now(self) -> str:
        return self._clock().isoformat(timespec="seconds")
