"""The votes of a blind set with the names behind the aliases: what every count begins with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.errors import SetupError
from lorabay.judging.blind_set import NAMES_FILE, VOTES_FOLDER, read_blind_set, read_names
from lorabay.judging.questions import Question
from lorabay.judging.votes import Choice, read_votes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lorabay.judging.blind_set import BlindSet
    from lorabay.judging.pairing import Pair
    from lorabay.judging.sheets import Showing


@dataclass(frozen=True, slots=True)
class Ballot:
    """One vote: `first` and `second` were compared, in the order of the alphabet.

    `winner` is one of them, or None for a tie. `left` and `longer` are those at the left and with
    the longer answer; answers of equal length have no longer one.
    """

    judge: str
    pair: str
    question: Question
    first: str
    second: str
    winner: str | None
    left: str
    longer: str | None


@dataclass(frozen=True, slots=True)
class Ballots:
    """All votes of a blind set, its sets by name, and how many votes were asked of each judge."""

    names: tuple[str, ...]
    asked: Mapping[str, int]
    votes: tuple[Ballot, ...]


def read_ballots(folder: Path, names_file: Path | None = None) -> Ballots:
    """Return the votes of a folder; raise SetupError if it, its names or votes cannot be read."""
    blind_set = read_blind_set(folder)
    names = read_names(folder, names_file)
    unknown = {alias for pair in blind_set.pairs.values() for alias in pair.answers} - set(names)
    if unknown:
        raise SetupError(f"{names_file or folder / NAMES_FILE} belongs to another blind set")

    return Ballots(
        names=tuple(sorted(names.values())),
        asked={sheet.judge: len(sheet.showings) for sheet in blind_set.sheets},
        votes=tuple(_ballots(blind_set, names, folder)),
    )


def _ballots(blind_set: BlindSet, names: Mapping[str, str], folder: Path) -> list[Ballot]:
    votes = read_votes(folder / VOTES_FOLDER)
    ballots = []
    for sheet in blind_set.sheets:
        for place, choice in sorted(votes.get(sheet.judge, {}).items()):
            if place >= len(sheet.showings):
                raise SetupError(
                    f"{folder} has a vote of {sheet.judge} on a pair that is not there"
                )
            showing = sheet.showings[place]
            pair = blind_set.pairs[showing.pair]
            ballots.append(_ballot(sheet.judge, pair, showing, choice, names))
    return ballots


def _ballot(
    judge: str, pair: Pair, showing: Showing, choice: Choice, names: Mapping[str, str]
) -> Ballot:
    first, second = sorted(names[alias] for alias in pair.answers)
    sides = {Choice.LEFT: names[showing.left], Choice.RIGHT: names[showing.right]}
    lengths = {names[alias]: len(text) for alias, text in pair.answers.items()}
    longer = None if len(set(lengths.values())) == 1 else max(lengths, key=lengths.__getitem__)
    return Ballot(
        judge=judge,
        pair=pair.id,
        question=pair.question,
        first=first,
        second=second,
        winner=sides.get(choice),
        left=sides[Choice.LEFT],
        longer=longer,
    )
