"""`lorabay judge make`: a blind set of two or more sets of answers.

Owns the order of the steps, and what the user is told about what could give a set away.
"""

from __future__ import annotations

import random
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table

from lorabay.errors import UsageError
from lorabay.files.durable import new_folder
from lorabay.judging.answers import AnswerSet
from lorabay.judging.blind_set import BlindSet, write_blind_set
from lorabay.judging.pairing import Pairing, aliases_of, pair_up
from lorabay.judging.sheets import deal_sheets

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class SetFacts:
    """One set of answers: how many of its answers name it, and their usual length."""

    name: str
    source: str
    answers: int
    naming_itself: int
    median_chars: int


@dataclass(frozen=True, slots=True)
class MakingReport:
    """What a blind set came to."""

    folder: str
    sets: tuple[SetFacts, ...]
    judges: tuple[str, ...]
    pairs: int
    equal: int
    unmatched: int

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should look at before people judge."""
        found = [
            f"{one.naming_itself} answers of {one.name} name it: judges may know it by that"
            for one in self.sets
            if one.naming_itself
        ]
        if self.unmatched:
            found.append(f"{self.unmatched} questions are not answered by every set")
        return tuple(found)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as values that JSON can hold."""
        return asdict(self) | {"warnings": list(self.warnings)}

    def table(self) -> Table:
        """Return the report for a terminal."""
        caption = [
            f"{self.pairs} pairs for each of {len(self.judges)} judges: {', '.join(self.judges)}",
            f"{self.equal} pairs of equal answers are left out",
            *self.warnings,
            f"next: lorabay judge serve {self.folder}",
        ]
        table = Table(
            title="Blind set",
            title_justify="left",
            caption="\n".join(caption),
            caption_justify="left",
        )
        for column in ("set", "answers from"):
            table.add_column(column)
        for column in ("answers", "median characters"):
            table.add_column(column, justify="right")
        for one in self.sets:
            table.add_row(one.name, one.source, str(one.answers), str(one.median_chars))
        return table


def make_blind_set(
    sets: Sequence[AnswerSet],
    judges: Sequence[str],
    output: Path,
    *,
    inputs: Sequence[Path] = (),
    most_pairs: int | None = None,
    seed: int | None = None,
) -> MakingReport:
    """Write a blind set into the new folder `output`, and return what it came to.

    Without a seed, aliases, orders and sides are another chance each time. Raises UsageError for
    fewer than two sets, a judge named twice or a name that cannot be written, and SetupError for
    sets that do not meet or a folder that cannot be made; nothing is left then.
    """
    if len(sets) < 2:
        raise UsageError("a comparison needs two sets of answers or more")
    if len({one.name for one in sets}) < len(sets):
        raise UsageError("two sets of answers have the same name")
    if not judges or len(set(judges)) < len(judges):
        raise UsageError("each judge needs a name of their own: --judge NAME")

    for name in (*(one.name for one in sets), *judges):
        if not _is_text(name):
            raise UsageError(f"the name {name!r} is not UTF-8; choose another one")

    chance = random.Random(seed)
    by_name = {one.name: one for one in sets}
    names = aliases_of([*by_name], chance)
    pairing = pair_up({alias: by_name[name] for alias, name in names.items()}, most_pairs, chance)
    sheets = deal_sheets(pairing.pairs, judges, chance)
    blind_set = BlindSet({pair.id: pair for pair in pairing.pairs}, sheets)

    with new_folder(output, inputs) as made:
        write_blind_set(made, blind_set, names)
    return _report(sets, judges, output, pairing)


def _is_text(name: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in name)


def _report(
    sets: Sequence[AnswerSet], judges: Sequence[str], output: Path, pairing: Pairing
) -> MakingReport:
    return MakingReport(
        folder=str(output),
        sets=tuple(map(_facts, sets)),
        judges=tuple(judges),
        pairs=len(pairing.pairs),
        equal=pairing.equal,
        unmatched=pairing.unmatched,
    )


def _facts(one: AnswerSet) -> SetFacts:
    # A name inside another word does not tell anything: "base" is in "database".
    named = re.compile(rf"(?<![A-Za-z0-9]){re.escape(one.name)}(?![A-Za-z0-9])", re.IGNORECASE)
    lengths = sorted(map(len, one.answers.values()))
    return SetFacts(
        name=one.name,
        source=one.source,
        answers=len(lengths),
        naming_itself=sum(bool(named.search(text)) for text in one.answers.values()),
        median_chars=lengths[len(lengths) // 2] if lengths else 0,
    )
