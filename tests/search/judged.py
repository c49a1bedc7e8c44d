"""Blind sets of three finalists, and what judges say about them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lorabay.judging.answers import AnswerSet
from lorabay.judging.making import make_blind_set
from tests.judging.answered import judge_all, question
from tests.search.made import three_finalists

NAMES = tuple(one.name for one in three_finalists())


def blind_final(folder: Path, count: int, judges: Sequence[str] = ("anna",)) -> Path:
    """Make the blind set of the three finalists' answers to so many questions."""
    sets = [
        AnswerSet(name, "made", {question(n): f"{name} says {n}" for n in range(count)})
        for name in NAMES
    ]
    make_blind_set(sets, judges, folder, seed=1)
    return folder


def prefer(folder: Path, order: Sequence[str], judges: Sequence[str] = ("anna",)) -> None:
    """Let judges prefer, of two names, always the one that comes first in an order."""
    judge_all(folder, dict.fromkeys(judges, lambda *both: min(both, key=order.index)))
