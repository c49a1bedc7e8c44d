"""The votes of a blind set with the names behind the aliases: what every count begins with."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.errors import SetupError
from lorabay.judging.blind_set import NAMES_FILE, VOTES_FOLDER, read_blind_set, read_names
from lorabay.judging.questions import Question
from lorabay.judging.vote_file import read_vote_file
from lorabay.judging.votes import Choice, read_votes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lorabay.judging.blind_set import BlindSet
    from lorabay.judging.pairing import Pair
    from lorabay.judging.sheets import Showing
    from lorabay.judging.vote_file import SavedVote


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
    """Return the votes of a folder, or of a file that the console saved.

    Raises SetupError if it, its names or votes cannot be read.
    """
    if folder.is_file():
        return _of_file(folder)

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


def _of_file(path: Path) -> Ballots:
    saved = read_vote_file(path)
    names = {side.name for vote in saved for side in (vote.left, vote.right)}
    return Ballots(
        names=tuple(sorted(names)),
        asked=dict(Counter(vote.judge for vote in saved)),
        votes=tuple(_of_saved(number, vote) for number, vote in enumerate(saved)),
    )


def _of_saved(number: int, vote: SavedVote) -> Ballot:
    first, second = sorted((vote.left.name, vote.right.name))
    sides = {Choice.LEFT: vote.left.name, Choice.RIGHT: vote.right.name}
    lengths = {side.name: len(side.text) for side in (vote.left, vote.right)}
    return Ballot(
        judge=vote.judge,
        pair=str(number),
        question=Question((("user", vote.prompt),)),
        first=first,
        second=second,
        winner=sides.get(vote.choice),
        left=vote.left.name,
        longer=_longer(lengths),
    )


def _longer(lengths: Mapping[str, int]) -> str | None:
    """Return who gave the longer answer; None for equal lengths."""
    if len(set(lengths.values())) == 1:
        return None
    return max(lengths, key=lengths.__getitem__)


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
    return Ballot(
        judge=judge,
        pair=pair.id,
        question=pair.question,
        first=first,
        second=second,
        winner=sides.get(choice),
        left=sides[Choice.LEFT],
        longer=_longer(lengths),
    )
