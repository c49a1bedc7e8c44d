"""Sets of answers, blind sets and votes, made for tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from lorabay.judging.answers import AnswerSet
from lorabay.judging.ballots import Ballot
from lorabay.judging.blind_set import VOTES_FOLDER, read_blind_set, read_names
from lorabay.judging.making import make_blind_set
from lorabay.judging.questions import Question
from lorabay.judging.votes import Choice, VoteBook

NAMES = ("shop-r16", "shop-r64", "plain-7b")


def question(number: int) -> Question:
    return Question((("user", f"How do I return order {number}?"),))


def answer(name: str, number: int) -> str:
    """An answer that tells who gave it, to those who know the words."""
    words = {
        "shop-r16": "Scan the label",
        "shop-r64": "Print the form",
        "plain-7b": "I am not sure",
    }
    return f"{words[name]} of parcel {number}."


def answer_set(name: str, count: int) -> AnswerSet:
    answers = {question(number): answer(name, number) for number in range(count)}
    return AnswerSet(name, f"{name}.jsonl", answers)


def write_answers(path: Path, name: str, count: int) -> Path:
    """Write a file of plain JSON lines, and return it."""
    rows = (
        {"question": f"How do I return order {number}?", "answer": answer(name, number)}
        for number in range(count)
    )
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def blind_folder(
    folder: Path,
    count: int,
    judges: Sequence[str] = ("anna", "ben"),
    names: Iterable[str] = NAMES[:2],
    seed: int = 1,
) -> Path:
    """Make the blind set of `count` questions, and return its folder."""
    make_blind_set([answer_set(name, count) for name in names], judges, folder, seed=seed)
    return folder


def judge_all(folder: Path, prefers: Mapping[str, Callable[[str, str], str | None]]) -> None:
    """Cast all votes of the judges of a folder; each prefers one of two names, or none."""
    blind_set, names = read_blind_set(folder), read_names(folder)
    book = VoteBook(folder / VOTES_FOLDER)
    for sheet in blind_set.sheets:
        if sheet.judge not in prefers:
            continue
        for place, (_, left, right) in enumerate(sheet.showings):
            liked = prefers[sheet.judge](names[left], names[right])
            sides = {names[left]: Choice.LEFT, names[right]: Choice.RIGHT, None: Choice.TIE}
            book.cast(sheet.judge, place, sides[liked])
    book.close()


def ballot(
    pair: int, winner: str | None, judge: str = "anna", first: str = "a", second: str = "b"
) -> Ballot:
    """A vote on the pair of a number; the first one is at the left and longer."""
    return Ballot(judge, f"p{pair}", question(pair), first, second, winner, first, first)
