"""A blind set on disk: what is where, who may read it, and what is said of a damaged one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.judging.answers import AnswerSet
from lorabay.judging.blind_set import NAMES_FILE, read_blind_set, read_names
from lorabay.judging.making import make_blind_set
from tests.judging.answered import NAMES, blind_folder, question


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return blind_folder(tmp_path / "blind", 6, names=NAMES)


def test_names_are_in_one_file_alone(folder: Path) -> None:
    """Every other file has aliases only, and the set is read without that file."""
    others = [path for path in folder.rglob("*") if path.is_file() and path.name != NAMES_FILE]
    assert len(others) == 2
    for path in others:
        assert not any(name in path.read_text() for name in NAMES), path

    names = read_names(folder)
    assert sorted(names.values()) == sorted(NAMES)
    (folder / NAMES_FILE).unlink()
    blind_set = read_blind_set(folder)
    assert len(blind_set.pairs) == 18
    assert {alias for pair in blind_set.pairs.values() for alias in pair.answers} == set(names)


def test_tokens_and_names_are_their_owners(folder: Path) -> None:
    """Nobody else on the machine may read them."""
    for name in ("sheets.json", NAMES_FILE, "votes"):
        assert (folder / name).stat().st_mode & 0o077 == 0


def test_a_damaged_set_is_one_line(folder: Path, tmp_path: Path) -> None:
    """It names the folder and what is wrong."""
    with pytest.raises(SetupError, match=r"is not a blind set: .*No such file"):
        read_blind_set(tmp_path)

    sheets = json.loads((folder / "sheets.json").read_text())
    sheets[0]["showings"][0][0] = "p9999"
    (folder / "sheets.json").write_text(json.dumps(sheets))
    with pytest.raises(SetupError, match="fits no"):
        read_blind_set(folder)

    (folder / "sheets.json").write_text("[{}]")
    with pytest.raises(SetupError, match=r"is not a blind set: 0.judge: Field required"):
        read_blind_set(folder)


def test_half_a_character_is_shown_as_a_sign(tmp_path: Path) -> None:
    """JSON of an answer can hold it, and a file cannot."""
    sets = [
        AnswerSet(name, "a.jsonl", {question(1): f"{name} \ud800", question(2): name})
        for name in NAMES[:2]
    ]
    make_blind_set(sets, ["anna"], tmp_path / "blind")
    pairs = read_blind_set(tmp_path / "blind").pairs.values()
    answers = {answer for pair in pairs for answer in pair.answers.values()}
    assert answers == {*NAMES[:2], *(f"{name} \ufffd" for name in NAMES[:2])}


def test_names_may_be_elsewhere(folder: Path, tmp_path: Path) -> None:
    """Whoever prepared the set keeps them while people judge."""
    kept = (folder / NAMES_FILE).rename(tmp_path / "kept.json")
    assert sorted(read_names(folder, kept).values()) == sorted(NAMES)
    with pytest.raises(SetupError, match="cannot read who gave the answers"):
        read_names(folder)
