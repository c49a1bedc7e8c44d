"""The step of a search that people take: a blind set of the finalists' answers, and the wait.

    OUT/answers/    what each finalist answers to the questions of dev
    OUT/blind/      the blind set, which `lorabay judge serve` shows, and the votes

A blind set is made once. The search ends there and goes on by the same command when the votes are
there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lorabay.errors import SetupError, UsageError
from lorabay.judging.blind_set import VOTES_FOLDER, read_blind_set
from lorabay.judging.making import make_blind_set
from lorabay.judging.reporting.report import report_of
from lorabay.judging.votes import read_votes
from lorabay.search.final_answers import FinalAnswers
from lorabay.search.peoples_verdict import ByPeople

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rich.console import Group

    from lorabay.search.final_answers import Answering
    from lorabay.search.finals import Final

ANSWERS_FOLDER, BLIND_FOLDER = "answers", "blind"

_DEFAULT_JUDGES = ("judge",)


@dataclass(frozen=True, slots=True)
class JudgeWishes:
    """Who judges, and when the search goes on.

    No `judges` are one, or those of the blind set that is there. `names_file` is `names.json` where
    it was moved out of the set. `early` counts the votes that there are.
    """

    judges: tuple[str, ...] = ()
    most_pairs: int | None = None
    max_tokens: int = 512
    names_file: Path | None = None
    early: bool = False

    def check(self) -> None:
        """Raise UsageError for judges that cannot be told apart."""
        if len(set(self.judges)) < len(self.judges):
            raise UsageError("each judge needs a name of their own: --judge NAME")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A blind set that judges have not done with: votes cast, and votes asked, by judge."""

    blind: Path
    done: Mapping[str, int]
    asked: Mapping[str, int]

    def table(self) -> Group:
        """Return it for a terminal."""
        from rich.console import Group
        from rich.text import Text

        return Group(*map(Text, self.lines()))

    def lines(self) -> list[str]:
        """Return what is missing, and how to go on."""
        counts = (f"{judge} {self.done[judge]} of {asked}" for judge, asked in self.asked.items())
        return [
            f"the finalists wait for people, who have voted: {', '.join(counts)}",
            f"let them judge: lorabay judge serve {self.blind}",
            "then the same command goes on; with --early it counts the votes that there are",
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return it as values that JSON can hold."""
        votes = {
            judge: {"done": self.done[judge], "asked": asked} for judge, asked in self.asked.items()
        }
        return {"waiting": {"blind": str(self.blind), "votes": votes}}


def judged(
    final: Final,
    output: Path,
    dev: Path,
    wishes: JudgeWishes,
    answer: Answering,
    tell: Callable[[str], None],
) -> Final | Waiting:
    """Return the final with the verdict of people; what is missing if they have not done.

    Makes the blind set in the folder of the search `output` if none is there. Raises SetupError for
    finalists that all answer the same, for a blind set of other judges, and for votes on others.
    """
    blind = output / BLIND_FOLDER
    if not blind.exists():
        _make(final, output, dev, wishes, answer, tell)

    waiting = _state(blind, wishes.judges)
    is_done = all(waiting.done[judge] >= asked for judge, asked in waiting.asked.items())
    if not is_done and not (wishes.early and any(waiting.done.values())):
        return waiting

    report = report_of(blind, wishes.names_file)
    if set(report.names) != {one.name for one in final.finalists}:
        raise SetupError(f"the votes in {blind} are not about the finalists of this search")
    return replace(final, verdict=ByPeople(report))


def _make(
    final: Final,
    output: Path,
    dev: Path,
    wishes: JudgeWishes,
    answer: Answering,
    tell: Callable[[str], None],
) -> None:
    answers = FinalAnswers(output / "finals", output / ANSWERS_FOLDER, answer)
    sets = answers.sets(final.finalists, dev, lambda name: tell(f"{name} has answered"))
    judges = wishes.judges or _DEFAULT_JUDGES
    try:
        made = make_blind_set(sets, judges, output / BLIND_FOLDER, most_pairs=wishes.most_pairs)
    except SetupError as error:
        raise SetupError(
            f"people cannot choose: {error.message}; without --by judge the loss decides"
        ) from error
    tell(f"{made.pairs} pairs of answers for each judge; {made.equal} pairs are equal")


def _state(blind: Path, judges: tuple[str, ...]) -> Waiting:
    """Return how far the judges of a blind set are."""
    asked = {sheet.judge: len(sheet.showings) for sheet in read_blind_set(blind).sheets}
    if judges and set(judges) != set(asked):
        raise SetupError(
            f"{blind} asks {', '.join(asked)}; to ask others, move that folder away: votes in it "
            "will not count"
        )
    votes = read_votes(blind / VOTES_FOLDER)
    return Waiting(blind, {judge: len(votes.get(judge, {})) for judge in asked}, asked)
