"""Natural sentences, half of them for tuning and half only counted, and how much of them is found.

    python -m tests.data.deidentify.natural [--part PART] [--show]

where PART is tune, held-out, attack, further, styles, broad or fresh, and may be said again, prints
recall by language and kind, how many sentences without personal data are changed, and `--show` what
is missed or wrong in what is for tuning. The sentences were written before the rules
that are tuned on the first half. A line is in the first half if the sha256 of its text without
marks begins with an even digit. The part `attack` was written while the rules were made, from other
kinds of text; it was only counted at first, and is for tuning since the fourth round. `further` was
written for tuning, when the first half had little left to show: names that are words, and addresses
in many forms. `styles` (for tuning) and `fresh` (only counted) are chat logs, tickets and forms,
written before the rules of the third round by one hand, which is why their kinds are alike. `broad`
was written for tuning before the rules of the fourth round: kinds that the others have few of.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from lorabay.data.recognisers.finder import Finder
from lorabay.data.recognisers.table import RECOGNISERS
from tests.data.deidentify.hard import LANGUAGES, Case, Tally, parsed_line, tallies

FOLDER = Path(__file__).parent / "natural"
PARTS = ("tune", "held-out")
ATTACK, FURTHER, STYLES, BROAD, FRESH = "attack", "further", "styles", "broad", "fresh"
WHOLE = (ATTACK, FURTHER, STYLES, BROAD, FRESH)
"""Parts with files of their own, which not every language and kind has."""

TUNED = ("tune", ATTACK, FURTHER, STYLES, BROAD)
SOFT = ("NAME", "ADDRESS")


def half(text: str) -> str:
    """Return which half a text without marks is in."""
    first = hashlib.sha256(text.encode()).hexdigest()[0]
    return PARTS[int(first, 16) % 2]


def cases(what: str, language: str, part: str) -> list[Case]:
    """Return the sentences of `names`, `addresses` or `harmless` that are in a part."""
    prefix = f"{part}_" if part in WHOLE else ""
    path = FOLDER / f"{prefix}{what}_{language}.txt"
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    written = [line.replace("\\n", "\n") for line in lines if not line.startswith("#")]

    found = []
    for line in written:
        turns, spans = parsed_line(line)
        if part in (*WHOLE, half("".join(turns))):
            found.append(Case(language, part, turns, spans))
    return found


@dataclass(frozen=True)
class Changed:
    """How many sentences without personal data there are, and how many of them are changed."""

    sentences: int
    changed: int

    @property
    def share(self) -> float:
        """Part of the sentences that is changed."""
        return self.changed / max(1, self.sentences)


def found_in(
    finder: Finder, language: str, part: str, show: bool = False
) -> dict[tuple[str, str], Tally]:
    """Return the tally of each kind in the sentences that hold names or addresses."""
    chosen = cases("names", language, part) + cases("addresses", language, part)
    return tallies(finder, chosen, show)


def changed_in(finder: Finder, language: str, part: str, show: bool = False) -> Changed:
    """Return how many of the harmless sentences are changed."""
    chosen = cases("harmless", language, part)
    changed = 0
    for case in chosen:
        found = [one for findings in finder.find(case.turns) for one in findings]
        changed += bool(found)
        if show and found:
            what = ", ".join(one.entity_type for one in found)
            sys.stdout.write(f"  changed ({what}): {case.turns[0]}\n")
    return Changed(len(chosen), changed)


def main() -> None:
    """Print the tallies."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", choices=(*PARTS, *WHOLE), action="append")
    parser.add_argument("--show", action="store_true")
    wishes = parser.parse_args()

    finder = Finder(RECOGNISERS)
    for part in wishes.part or PARTS:
        show = wishes.show and part in TUNED
        for language in LANGUAGES:
            found = found_in(finder, language, part, show)
            for kind in SOFT:
                if (language, kind) in found:
                    sys.stdout.write(f"{part:8} {language} {kind:8} {found[language, kind]}\n")
            changed = changed_in(finder, language, part, show)
            sys.stdout.write(
                f"{part:8} {language} harmless {changed.changed}/{changed.sentences} changed "
                f"{changed.share:.3f}\n"
            )


if __name__ == "__main__":
    main()
