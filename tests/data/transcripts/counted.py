"""How much of what was planted in a domain's exports a preparation found.

    python -m tests.data.transcripts.counted raw/ecommerce prepared/ecommerce

reads `raw/ecommerce.key.jsonl`, the list of changes and the parts, and prints personal data found
by kind and language, numbers that were to stay, noise, duplicates and leaks. A conversation is
known by its number, so that a surrogate which happens to be another's name does not count.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.data.planted import PARTS, runs, similarity
from tests.data.transcripts.cases import LANGUAGES

Ratio = tuple[int, int]
"""How many there are, and of how many."""


@dataclass
class Counts:
    """What was found. `unasked` are rows that went as duplicates and are no planted copies."""

    personal: dict[tuple[str, str], Ratio] = field(default_factory=dict)
    kept: Ratio = (0, 0)
    noise: dict[str, Ratio] = field(default_factory=dict)
    copies: dict[str, Ratio] = field(default_factory=dict)
    unasked: int = 0
    removed_for_no_reason: int = 0
    parts: dict[str, int] = field(default_factory=dict)
    closest_over_parts: float = 0.0

    def lines(self) -> list[str]:
        """Return the counts as Markdown."""
        table = ["| kind | zh | en |", "|---|---|---|"]
        for kind in sorted({kind for kind, _ in self.personal}):
            cells = (_told(self.personal.get((kind, one))) for one in LANGUAGES)
            table.append(f"| {kind} | {' | '.join(cells)} |")
        noise = ", ".join(f"{name} {_told(ratio)}" for name, ratio in sorted(self.noise.items()))
        copies = ", ".join(f"{name} {_told(ratio)}" for name, ratio in sorted(self.copies.items()))
        return [
            *table,
            "",
            f"numbers that stay: {_told(self.kept)}",
            f"noise: {noise}",
            f"copies removed: {copies}; other rows removed as duplicates: {self.unasked}",
            f"clean rows removed for another reason: {self.removed_for_no_reason}",
            f"rows: {', '.join(f'{name} {count}' for name, count in self.parts.items())}",
            f"closest two rows of train and another part: {self.closest_over_parts:.2f}",
        ]


def counted(raw: Path, prepared: Path) -> Counts:
    """Count what a preparation of a domain's exports did."""
    key = _lines(raw.with_name(f"{raw.name}.key.jsonl"))
    reasons: dict[str, set[str]] = defaultdict(set)
    removed = set()
    for change in _lines(prepared / "report" / "changes.jsonl"):
        source = _in_folder(change["source"])
        reasons[source].add(change["reason"])
        if change["what"] == "removed":
            removed.add(source)

    texts = {part: _texts(prepared / f"{part}.jsonl") for part in PARTS}
    rows = [one for one in key if one["source"] not in removed]
    counts = Counts(parts={part: len(found) for part, found in texts.items()})
    counts.personal, counts.kept = _personal(rows, [row for part in texts.values() for row in part])
    counts.noise = _noise(key, reasons)
    counts.copies, counts.unasked = _copies(key, removed, reasons)
    counts.removed_for_no_reason = sum(
        one["source"] in removed and not one["noise"] and not _is_duplicate(one, reasons)
        for one in key
    )
    counts.closest_over_parts = _closest(texts)
    return counts


def _personal(
    rows: list[dict[str, Any]], texts: list[str]
) -> tuple[dict[tuple[str, str], Ratio], Ratio]:
    """Return how many planted values are gone, and how many numbers are there."""
    by_number = {one["kept"][0]: "" for one in rows}
    for text in texts:
        for number in by_number:
            if number in text:
                by_number[number] = text
                break

    there: Counter[tuple[str, str]] = Counter()
    gone: Counter[tuple[str, str]] = Counter()
    for one in rows:
        text = by_number[one["kept"][0]]
        for kind, value in one["personal"] if text else ():
            there[kind, one["language"]] += 1
            gone[kind, one["language"]] += not any(part in text for part in _traces(kind, value))
    stay = sum(text != "" for text in by_number.values())
    return {name: (gone[name], there[name]) for name in there}, (stay, len(by_number))


def _traces(kind: str, value: str) -> list[str]:
    """Return what of a value must not be left: of a name each part, of an address the door."""
    if kind == "NAME":
        return value.split() if value.isascii() else [value, value[-2:]]
    if kind == "ADDRESS":
        return [" ".join(value.split()[:2])] if value.isascii() else [value[-10:]]
    return [value]


def _noise(key: list[dict[str, Any]], reasons: dict[str, set[str]]) -> dict[str, Ratio]:
    planted = [one for one in key if one["noise"]]
    there = Counter(one["noise"] for one in planted)
    found = Counter(one["noise"] for one in planted if one["noise"] in reasons[one["source"]])
    return {name: (found[name], there[name]) for name in there}


def _copies(
    key: list[dict[str, Any]], removed: set[str], reasons: dict[str, set[str]]
) -> tuple[dict[str, Ratio], int]:
    """Return the copies of which one row is left, and other rows that went as duplicates."""
    by_number = defaultdict(list)
    for one in key:
        by_number[one["kept"][0]].append(one)

    there: Counter[str] = Counter()
    found: Counter[str] = Counter()
    unasked = 0
    for group in by_number.values():
        copy = next((one["copy"] for one in group if one["copy"]), "")
        left = sum(one["source"] not in removed for one in group)
        if copy:
            there[copy] += 1
            found[copy] += left <= 1
        else:
            unasked += sum(_is_duplicate(one, reasons) for one in group)
    return {name: (found[name], there[name]) for name in there}, unasked


def _is_duplicate(one: dict[str, Any], reasons: dict[str, set[str]]) -> bool:
    return bool(reasons[one["source"]] & {"exact_duplicate", "near_duplicate"})


def _closest(texts: dict[str, list[str]]) -> float:
    """Return the highest similarity of a row of train and one of another part."""
    train = [runs(text) for text in texts["train"]]
    others = [runs(text) for part in PARTS[1:] for text in texts[part]]
    return max((similarity(one, other) for one in train for other in others), default=0.0)


def _texts(path: Path) -> list[str]:
    """Return all that is said in each row of a part, turn by turn."""
    found = []
    for row in _lines(path):
        earlier = [text for turn in row.get("history", []) for text in turn]
        found.append("\n".join([*earlier, row["instruction"], row["input"], row["output"]]))
    return found


def _in_folder(source: str) -> str:
    """Return a source without the folders in front of its file."""
    return source.rpartition("/")[2]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _told(ratio: Ratio | None) -> str:
    if ratio is None or not ratio[1]:
        return "-"
    return f"{ratio[0]} of {ratio[1]}"


def main() -> None:
    """Print the counts of a domain."""
    parser = argparse.ArgumentParser(description="Count what a preparation found.")
    parser.add_argument("raw", type=Path)
    parser.add_argument("prepared", type=Path)
    wanted = parser.parse_args()
    sys.stdout.write("\n".join(counted(wanted.raw, wanted.prepared).lines()) + "\n")


if __name__ == "__main__":
    main()
