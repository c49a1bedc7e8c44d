"""The report of a blind set as values, and its forms for programs, terminals and browsers."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from lorabay.errors import SetupError
from lorabay.judging.ballots import read_ballots
from lorabay.judging.libraries import check_libraries
from lorabay.judging.reporting.agreement import agreement
from lorabay.judging.reporting.duels import duels
from lorabay.judging.reporting.findings import finding, interval, percent, warnings
from lorabay.judging.reporting.shares import share_of
from lorabay.judging.reporting.strengths import preferences, strengths

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lorabay.judging.ballots import Ballot, Ballots
    from lorabay.judging.reporting.agreement import Agreement
    from lorabay.judging.reporting.duels import Duel
    from lorabay.judging.reporting.shares import Share
    from lorabay.judging.reporting.strengths import Strength


@dataclass(frozen=True, slots=True)
class Report:
    """What people said. `strengths` are there for more than two sets, `scores` always.

    `left` and `longer` are shares of decided votes for the answer at the left, and the longer one.
    """

    names: tuple[str, ...]
    asked: Mapping[str, int]
    done: Mapping[str, int]
    duels: tuple[Duel, ...]
    strengths: tuple[Strength, ...]
    scores: Mapping[str, float]
    agreement: Agreement
    left: Share
    longer: Share

    @property
    def findings(self) -> tuple[str, ...]:
        """A sentence for every two sets."""
        return tuple(finding(duel, len(self.duels)) for duel in self.duels)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader should know before believing the rest."""
        return warnings(self.asked, self.done, self.left, self.longer)

    @property
    def agreed(self) -> str:
        """One line on how far judges agree."""
        found = self.agreement
        if found.compared == 0:
            return found.meaning
        alpha = "-" if found.alpha is None else f"{found.alpha:.2f}"
        same = percent(found.same / found.compared)
        return (
            f"alpha {alpha}, {same} of {found.compared} double votes are the same: {found.meaning}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the report as values that JSON can hold."""
        made = asdict(self)
        for duel, row in zip(self.duels, made["duels"], strict=True):
            row["winner"] = duel.winner
        return made | {"findings": list(self.findings), "warnings": list(self.warnings)}

    def table(self) -> Group:
        """Return the report for a terminal."""
        parts = [_duel_table(self.duels)]
        if self.strengths:
            parts.append(_strength_table(self.strengths))
        lines = [*self.findings, f"Agreement: {self.agreed}."]
        lines += [f"Note: {warning}." for warning in self.warnings]
        return Group(*parts, *map(Text, lines))


def report_of(folder: Path, names_file: Path | None = None) -> Report:
    """Return the report of a blind set's folder.

    Raises SetupError for a folder that cannot be read, or that nobody has judged.
    """
    check_libraries()
    ballots = read_ballots(folder, names_file)
    if not ballots.votes:
        raise SetupError(f"nobody has judged {folder} yet: lorabay judge serve {folder}")
    return _counted(ballots)


def _counted(ballots: Ballots) -> Report:
    votes, names = ballots.votes, ballots.names
    return Report(
        names=names,
        asked=ballots.asked,
        done=dict(Counter(vote.judge for vote in votes)),
        duels=duels(names, votes),
        strengths=strengths(names, votes) if len(names) > 2 else (),
        scores=preferences(names, votes),
        agreement=agreement(votes),
        left=_share(votes, [vote.left for vote in votes]),
        longer=_share(votes, [vote.longer for vote in votes]),
    )


def _share(votes: Sequence[Ballot], favoured: Sequence[str | None]) -> Share:
    """Return how many decided votes went to the favoured answer, where there is one."""
    decided = [
        vote.winner == one
        for vote, one in zip(votes, favoured, strict=True)
        if vote.winner is not None and one is not None
    ]
    return share_of(sum(decided), len(decided))


def _duel_table(found: Sequence[Duel]) -> Table:
    table = Table(title="Comparisons", title_justify="left")
    for column in ("first", "second"):
        table.add_column(column, overflow="fold")
    for column in ("won, tied, lost", "pairs won", "p"):
        table.add_column(column, justify="right", no_wrap=True)
    for duel in found:
        lost = duel.votes.total - duel.votes.part
        table.add_row(
            duel.first,
            duel.second,
            f"{duel.votes.part}, {duel.ties}, {lost}",
            interval(duel.majorities),
            f"{duel.p:.3f}",
            style="bold" if duel.winner else None,
        )
    return table


def _strength_table(found: Sequence[Strength]) -> Table:
    table = Table(title="All sets (Bradley-Terry)", title_justify="left")
    table.add_column("set")
    for column in ("preferred, %", "interval", "log-odds"):
        table.add_column(column, justify="right")
    for one in found:
        table.add_row(
            one.name,
            f"{100 * one.preference:.0f}",
            f"[{100 * one.low:.0f}, {100 * one.high:.0f}]",
            f"{one.log_odds:+.2f}",
        )
    return table
