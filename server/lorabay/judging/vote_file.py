"""Votes as one file, as the console saves them: a line of JSON a vote, with both names and answers.

    {"judge": "ada", "prompt": "...", "left": {"name": "finance", "text": "..."},
     "right": {"name": "base", "text": "..."}, "choice": "left", "at": "2026-11-29T10:00:00Z"}

Knows nothing of folders that hold blind sets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from lorabay.errors import SetupError
from lorabay.judging.votes import Choice

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_BYTES = 100_000_000


class Side(BaseModel):
    """Who answered, and what."""

    name: str
    text: str


class SavedVote(BaseModel):
    """One vote on two answers to the same prompt."""

    judge: str
    prompt: str
    left: Side
    right: Side
    choice: Choice


def read_vote_file(path: Path) -> list[SavedVote]:
    """Return the votes of a file; raise SetupError for a line that is none, by its number."""
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise SetupError(f"{path} is larger than {LIMIT_BYTES} bytes")
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"cannot read the votes in {path}: {error}") from error

    return [_read(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _read(path: Path, number: int, line: str) -> SavedVote:
    try:
        vote = SavedVote.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the line"
        raise SetupError(f"{path}, line {number} is not a vote: {where}: {first['msg']}") from error
    if vote.left.name == vote.right.name:
        raise SetupError(f"{path}, line {number}: both answers are of {vote.left.name}")
    return vote
