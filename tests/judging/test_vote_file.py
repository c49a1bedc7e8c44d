"""Votes that the console saved, and the report of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lorabay.errors import SetupError
from lorabay.judging.ballots import read_ballots
from lorabay.judging.reporting.report import report_of
from lorabay.judging.vote_file import read_vote_file

FINANCE, BASE = {"name": "finance", "text": "A bond is a debt."}, {"name": "base", "text": "A."}
VOTE = {"judge": "ada", "prompt": "What is a bond?", "left": FINANCE, "right": BASE}


def saved(tmp_path: Path, *votes: Any) -> Path:
    path = tmp_path / "votes.jsonl"
    path.write_text("".join(f"{json.dumps(vote)}\n" for vote in votes))
    return path


def test_a_file_of_votes_is_read_as_ballots(tmp_path: Path) -> None:
    """Who won, who was at the left, and whose answer was longer."""
    swapped = VOTE | {"left": BASE, "right": FINANCE, "choice": "right", "at": "2026-11-29"}
    path = saved(tmp_path, VOTE | {"choice": "tie"}, swapped)
    ballots = read_ballots(path)
    assert ballots.names == ("base", "finance")
    assert dict(ballots.asked) == {"ada": 2}
    first, second = ballots.votes
    assert (first.winner, first.left, first.longer) == (None, "finance", "finance")
    assert (second.winner, second.left, second.first) == ("finance", "base", "base")


def test_its_report_is_json_for_programs(tmp_path: Path) -> None:
    """Also who was asked how often, which was counted from the votes."""
    path = saved(tmp_path, VOTE | {"choice": "left"}, VOTE | {"choice": "right"})
    made = json.loads(json.dumps(report_of(path).as_dict()))
    assert made["asked"] == made["done"] == {"ada": 2}


@pytest.mark.parametrize(
    ("vote", "problem"),
    [
        (VOTE | {"choice": "best"}, "line 2 is not a vote: choice"),
        ({}, "line 2 is not a vote: judge"),
        (VOTE | {"right": FINANCE, "choice": "tie"}, "both answers are of finance"),
        ([], "line 2 is not a vote"),
    ],
)
def test_a_line_that_is_no_vote_is_named(tmp_path: Path, vote: Any, problem: str) -> None:
    """By its number, with what is wrong."""
    with pytest.raises(SetupError, match=problem):
        read_vote_file(saved(tmp_path, VOTE | {"choice": "left"}, vote))


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Missing, or not text."""
    with pytest.raises(SetupError, match="cannot read the votes"):
        read_vote_file(tmp_path / "none.jsonl")
    path = tmp_path / "votes.jsonl"
    path.write_bytes(b"\xff")
    with pytest.raises(SetupError, match="cannot read the votes"):
        read_vote_file(path)
