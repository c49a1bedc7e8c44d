"""Which answers are compared: pairs of two sets' answers to one question.

Every two sets meet on the questions that both answer. Equal answers are counted, and nobody is
asked about them. Sets are called by aliases here, whose order says nothing of the user's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from lorabay.errors import SetupError
from lorabay.judging.questions import Question

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from lorabay.judging.answers import AnswerSet


@dataclass(frozen=True, slots=True)
class Pair:
    """One question, and the answers of two sets by their aliases."""

    id: str
    question: Question
    answers: dict[str, str]

    @property
    def aliases(self) -> tuple[str, str]:
        """The two aliases, in the order of the alphabet."""
        first, second = sorted(self.answers)
        return first, second


@dataclass(frozen=True, slots=True)
class Pairing:
    """The pairs to compare, how many were left out for being equal, and how many questions only
    some sets answer.
    """

    pairs: tuple[Pair, ...]
    equal: int
    unmatched: int


def aliases_of(names: Sequence[str], chance: random.Random) -> dict[str, str]:
    """Return a name for each alias, dealt by chance."""
    dealt = chance.sample(list(names), len(names))
    return {f"set-{number}": name for number, name in enumerate(dealt, 1)}


def pair_up(sets: Mapping[str, AnswerSet], most: int | None, chance: random.Random) -> Pairing:
    """Return at most `most` pairs of the sets, which are named by their aliases.

    Fewer pairs than there are leave each two sets as many as the others, give or take one. Raises
    SetupError if no two sets answer the same question in different words.
    """
    by_sets: list[list[Pair]] = []
    equal = 0
    for first, second in combinations(sorted(sets), 2):
        shared = [asked for asked in sets[first].answers if asked in sets[second].answers]
        found = [_pair(asked, sets, first, second) for asked in shared]
        differing = [pair for pair in found if len(set(pair.answers.values())) > 1]
        equal += len(found) - len(differing)
        by_sets.append(chance.sample(differing, len(differing)))

    pairs = _in_turns(by_sets)[:most]
    if not pairs:
        told = f"; {equal} answers are equal" if equal else ""
        raise SetupError(f"no two sets answer the same question in different words{told}")

    numbered = tuple(
        Pair(f"p{number:04}", pair.question, pair.answers) for number, pair in enumerate(pairs, 1)
    )
    return Pairing(numbered, equal, _unmatched(sets))


def _pair(question: Question, sets: Mapping[str, AnswerSet], first: str, second: str) -> Pair:
    # Blanks around an answer come from how it was made, and would tell one set from another.
    answers = {alias: sets[alias].answers[question].strip() for alias in (first, second)}
    return Pair("", question, answers)


def _in_turns(groups: list[list[Pair]]) -> list[Pair]:
    """Return the pairs of all groups, one of each group after the other."""
    longest = max(map(len, groups), default=0)
    return [group[turn] for turn in range(longest) for group in groups if turn < len(group)]


def _unmatched(sets: Mapping[str, AnswerSet]) -> int:
    answered = Counter(question for one in sets.values() for question in one.answers)
    return sum(count < len(sets) for count in answered.values())
