"""Votes with their names: sides and aliases become who won."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.judging.ballots import read_ballots
from tests.judging.answered import NAMES, blind_folder, judge_all


def test_a_vote_for_a_side_is_one_for_whoever_stood_there(tmp_path: Path) -> None:
    """A judge who always prefers one set is seen to, whichever side it was on."""
    folder = blind_folder(tmp_path / "blind", 10, names=NAMES)
    judge_all(folder, {"anna": lambda *both: min(both), "ben": lambda *both: None})
    ballots = read_ballots(folder)

    assert ballots.names == tuple(sorted(NAMES))
    assert ballots.asked == {"anna": 30, "ben": 30}
    annas = [vote for vote in ballots.votes if vote.judge == "anna"]
    assert {vote.winner == vote.first for vote in annas} == {True}
    assert {vote.left == vote.first for vote in annas} == {True, False}
    assert {vote.winner for vote in ballots.votes if vote.judge == "ben"} == {None}


def test_the_longer_answer_is_known(tmp_path: Path) -> None:
    """`Scan the label` is as long as `Print the form`, and longer than `I am not sure`."""
    folder = blind_folder(tmp_path / "blind", 2, names=NAMES)
    judge_all(folder, {"anna": lambda *both: None})
    longer = {(vote.first, vote.second): vote.longer for vote in read_ballots(folder).votes}
    assert longer == {
        ("plain-7b", "shop-r16"): "shop-r16",
        ("plain-7b", "shop-r64"): "shop-r64",
        ("shop-r16", "shop-r64"): None,
    }


def test_names_of_another_set_are_refused(tmp_path: Path) -> None:
    """Rather than counted for whoever they name."""
    folder = blind_folder(tmp_path / "blind", 2, names=NAMES)
    (folder / "names.json").write_text(json.dumps({"set-1": "x", "set-2": "y"}))
    with pytest.raises(SetupError, match="belongs to another blind set"):
        read_ballots(folder)
