"""Sentences written by hand, with the places of personal data in them, and how many are found.

    python -m tests.data.deidentify.hard [--part tuning|measuring|later|unseen|all] [--show]

prints recall and precision by language and kind, and `--show` what is missed. Rules were tuned on
one half of the first sentences, then on later ones; what was found of the unseen ones says how they
do on other sentences.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.data.recognisers.finder import Finder
from lorabay.data.recognisers.table import RECOGNISERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lorabay.data.recognisers.finding import Finding

PARTS = ("tuning", "measuring", "later", "unseen")
TUNED = ("tuning", "later")
LANGUAGES = ("zh", "en")
_MARK = re.compile(r"\[\[(?P<kind>[A-Z_]+):(?P<text>.+?)\]\]", re.DOTALL)
_TURN = " ¦ "
# A finding may hold a little more than what was marked, such as a title.
_SLACK = 8

Span = tuple[str, int, int]


@dataclass(frozen=True)
class Case:
    """The turns of a conversation, and what stands in each of them."""

    language: str
    part: str
    turns: tuple[str, ...]
    spans: tuple[tuple[Span, ...], ...]


def cases() -> list[Case]:
    """Return all cases."""
    return [
        one
        for name in ("hard", "later", "unseen")
        for language in LANGUAGES
        for one in _of(name, language)
    ]


def _of(name: str, language: str) -> list[Case]:
    text = (Path(__file__).parent / f"{name}_{language}.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    found = []
    for number, line in enumerate(lines):
        turns, spans = parsed_line(line)
        part = PARTS[number % 2] if name == "hard" else name
        found.append(Case(language, part, turns, spans))
    return found


def parsed_line(line: str) -> tuple[tuple[str, ...], tuple[tuple[Span, ...], ...]]:
    """Return the turns of a line without their marks, and what was marked in each of them."""
    parsed = [_parsed(turn) for turn in line.split(_TURN)]
    turns, spans = zip(*parsed, strict=True)
    return turns, spans


def _parsed(turn: str) -> tuple[str, tuple[Span, ...]]:
    spans: list[Span] = []
    text, at = "", 0
    for match in _MARK.finditer(turn):
        text += turn[at : match.start()]
        spans.append((match["kind"], len(text), len(text) + len(match["text"])))
        text += match["text"]
        at = match.end()
    return text + turn[at:], tuple(spans)


@dataclass
class Tally:
    """How many were there, how many of them were found, how many findings there were and right."""

    there: int = 0
    found: int = 0
    findings: int = 0
    right: int = 0

    def __str__(self) -> str:
        recall = self.found / self.there if self.there else 1
        precision = self.right / self.findings if self.findings else 1
        return (
            f"{self.found}/{self.there} recall {recall:.3f}, "
            f"{self.right}/{self.findings} precision {precision:.3f}"
        )


def is_covered(span: Span, findings: Iterable[Finding]) -> bool:
    """Return whether all of a place is in findings, whatever they call it."""
    _, start, end = span
    covered = {place for one in findings for place in range(one.start, one.end)}
    return covered.issuperset(range(start, end))


def is_right(finding: Finding, spans: Iterable[Span]) -> bool:
    """Return whether a finding holds something that was marked, and little more."""
    held = sum(max(0, min(finding.end, end) - max(finding.start, start)) for _, start, end in spans)
    return held > 0 and finding.end - finding.start - held <= _SLACK


def tallies(
    finder: Finder, chosen: Iterable[Case], show: bool = False
) -> dict[tuple[str, str], Tally]:
    """Return the tally of each language and kind; a wrong finding counts where it says it is."""
    found: dict[tuple[str, str], Tally] = {}
    for case in chosen:
        texts = finder.find(case.turns)
        for turn, spans, findings in zip(case.turns, case.spans, texts, strict=True):
            for span in spans:
                tally = found.setdefault((case.language, span[0]), Tally())
                tally.there += 1
                tally.found += is_covered(span, findings)
                if show and not is_covered(span, findings):
                    sys.stdout.write(f"  missed {span[0]} {turn[span[1] : span[2]]!r} in: {turn}\n")
            for one in findings:
                tally = found.setdefault((case.language, one.entity_type), Tally())
                tally.findings += 1
                tally.right += is_right(one, spans)
                if show and not is_right(one, spans):
                    sys.stdout.write(
                        f"  wrong {one.entity_type} {turn[one.start : one.end]!r} in: {turn}\n"
                    )
    return found


def main() -> None:
    """Print the tallies."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", choices=[*PARTS, "all"], default="all")
    parser.add_argument("--show", action="store_true")
    wishes = parser.parse_args()

    finder = Finder(RECOGNISERS)
    for part in PARTS if wishes.part == "all" else (wishes.part,):
        chosen = [case for case in cases() if case.part == part]
        sizes = Counter(case.language for case in chosen)
        sys.stdout.write(f"{part}: {sizes['zh']} Chinese, {sizes['en']} English\n")
        found = tallies(finder, chosen, wishes.show and part in TUNED)
        for (language, kind), tally in sorted(found.items()):
            sys.stdout.write(f"{language} {kind:14} {tally}\n")


if __name__ == "__main__":
    main()
