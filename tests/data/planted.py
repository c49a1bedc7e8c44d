"""Rows with planted duplicates, leaks and broken lines, and what a preparation made of them.

    python -m tests.data.planted [--rows 20000] [--runs 2]

makes a folder of rows, prepares it in a process of its own, prepares what came out, and prints
recall, precision, leaks, seconds and memory. The judgement uses sets of characters and none of the
program's own code for comparing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

WORDS, CHINESE = 4000, [chr(code) for code in range(0x4E00, 0x4E00 + 900)]
SIMILAR = 0.8
PARTS = ("train", "dev", "test")

Fields = dict[str, str]


@dataclass
class Planted:
    """What was planted: pairs by their places in the files."""

    near: list[tuple[str, str]] = field(default_factory=list)
    exact: list[tuple[str, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)


def runs(text: str) -> frozenset[str]:
    """Return the runs of five characters of a text in lower case."""
    text = " ".join(text.lower().split())
    return frozenset(text[at : at + 5] for at in range(len(text) - 4))


def similarity(first: frozenset[str], second: frozenset[str]) -> float:
    """Return Jaccard's."""
    return len(first & second) / len(first | second)


class Writer:
    """Makes texts of random words, in English and in Chinese."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        syllables = [one + two for one in "bcdfglmnprstvw" for two in "aeiou"]
        self._words = ["".join(self.dice.choices(syllables, k=3)) for _ in range(WORDS)]

    def row(self) -> Fields:
        """Return a question and its answer."""
        if self.dice.random() < 0.3:
            pieces = ("".join(self.dice.choices(CHINESE, k=n)) for n in self._sizes(20, 90))
            question, answer = pieces
            return {"instruction": f"{question}？", "output": f"{answer}。"}
        question, answer = (
            " ".join(self.dice.choices(self._words, k=n)) for n in self._sizes(14, 45)
        )
        return {"instruction": f"{question}?", "output": f"{answer}."}

    def _sizes(self, *usual: int) -> list[int]:
        return [self.dice.randrange(size * 3 // 4, size * 5 // 4) for size in usual]

    def changed(self, row: Fields, least: float, most: float) -> Fields:
        """Return a row with single words or characters of the answer replaced, that similar."""
        original = runs(both(row))
        wanted = self.dice.uniform(least, most)
        chinese = row["output"].endswith("。")
        words = list(row["output"][:-1]) if chinese else row["output"][:-1].split()
        best = row
        while True:
            words[self.dice.randrange(len(words))] = self.dice.choice(
                CHINESE if chinese else self._words
            )
            answer = "".join(words) + "。" if chinese else " ".join(words) + "."
            trial = row | {"output": answer}
            if similarity(original, runs(both(trial))) < wanted:
                return best if best != row else trial
            best = trial


def both(row: Fields) -> str:
    """Return what is said in a row."""
    return f"{row['instruction']}\n{row['output']}"


def plant(folder: Path, rows: int, seed: int = 7) -> Planted:
    """Write `train.jsonl` and `heldout.jsonl`, and return what was planted."""
    writer, planted = Writer(seed), Planted()
    tenth = rows // 10
    originals = [writer.row() for _ in range(rows - 2 * tenth - rows // 25)]
    # Similar, but not as similar as a duplicate is: these have to stay.
    decoys = [writer.changed(row, 0.6, 0.76) for row in writer.dice.sample(originals, rows // 50)]

    lines: list[tuple[str, str | Fields, object]] = [("train", row, None) for row in originals]
    lines += [("train", row, None) for row in decoys]
    for row in writer.dice.choices(originals, k=tenth):
        # Every tenth crosses the parts: a leak.
        part = "heldout" if writer.dice.random() < 0.1 else "train"
        spaced = row | {"output": row["output"].replace(" ", "  ", 1)}
        lines.append((part, spaced, ("exact", both(row))))
    for row in writer.dice.sample(originals, tenth):
        part = "heldout" if writer.dice.random() < 0.1 else "train"
        lines.append((part, writer.changed(row, 0.82, 0.97), ("near", both(row))))
    broken = ['{"instruction": "cut', "[1, 2]", '{"instruction": "no answer"}', "plain text"]
    lines += [("train", broken[number % 4], "broken") for number in range(rows // 50)]
    writer.dice.shuffle(lines)
    _write(folder, lines, planted)
    return planted


def _write(folder: Path, lines: list[tuple[str, str | Fields, object]], planted: Planted) -> None:
    places: dict[str, str] = {}
    numbers: Counter[str] = Counter()
    copies = []
    with (
        (folder / "train.jsonl").open("w", encoding="utf-8") as train,
        (folder / "heldout.jsonl").open("w", encoding="utf-8") as heldout,
    ):
        for part, row, what in lines:
            numbers[part] += 1
            place = f"{part}.jsonl:{numbers[part]}"
            text = row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)
            (train if part == "train" else heldout).write(f"{text}\n")
            if isinstance(row, str):
                planted.broken.append(place)
                continue
            planted.said[place] = both(row)
            if isinstance(what, tuple):
                copies.append((what, place))
            else:
                places[both(row)] = place
    for (kind, original), place in copies:
        pairs = planted.exact if kind == "exact" else planted.near
        pairs.append((places[original], place))


@dataclass(frozen=True)
class Verdict:
    """How a preparation did."""

    recall: float
    precision: float
    exact_left: int
    broken_left: int
    leaks: int


def judge(planted: Planted, output: Path) -> Verdict:
    """Compare an output folder with what was planted."""
    gone: dict[str, str] = {}
    for line in (output / "report" / "changes.jsonl").read_text(encoding="utf-8").splitlines():
        change = json.loads(line)
        if change["what"] == "removed":
            gone[change["source"]] = change["reason"]

    similar = [pair for pair in planted.near if _similarity(planted, pair) >= SIMILAR]
    found = sum(any(place in gone for place in pair) for pair in similar)
    near = [place for place, reason in gone.items() if reason == "near_duplicate"]
    partners = defaultdict(set)
    for first, second in planted.near + planted.exact:
        partners[first].add(second)
        partners[second].add(first)
    right = sum(_has_partner(planted, partners, place) for place in near)

    exact_left = sum(not any(place in gone for place in pair) for pair in planted.exact)
    return Verdict(
        recall=found / max(len(similar), 1),
        precision=right / max(len(near), 1),
        exact_left=exact_left,
        broken_left=sum(place not in gone for place in planted.broken),
        leaks=count_leaks(output),
    )


def _similarity(planted: Planted, pair: tuple[str, str]) -> float:
    first, second = (runs(planted.said[place]) for place in pair)
    return similarity(first, second)


def _has_partner(planted: Planted, partners: dict[str, set[str]], place: str) -> bool:
    """Return whether a planted relative, or one of its relatives, is as similar as it has to be."""
    family = set(partners[place])
    for relative in partners[place]:
        family |= partners[relative]
    return any(_similarity(planted, (place, other)) >= SIMILAR for other in family - {place})


def count_leaks(output: Path) -> int:
    """Return how many rows of dev and test are similar to a row of another part."""
    rows = {part: _said(output / f"{part}.jsonl") for part in PARTS}
    index: dict[str, list[int]] = defaultdict(list)
    train = rows["train"]
    for number, said in enumerate(train):
        for run in said:
            index[run].append(number)

    leaks = 0
    for part in ("dev", "test"):
        for said in rows[part]:
            shared = Counter(number for run in said for number in index.get(run, ()))
            leaks += any(
                count / (len(said) + len(train[number]) - count) >= SIMILAR
                for number, count in shared.items()
            )
    leaks += sum(similarity(one, other) >= SIMILAR for one in rows["dev"] for other in rows["test"])
    return leaks


def _said(path: Path) -> list[frozenset[str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [runs(both(json.loads(line))) for line in lines]


def parts_of(output: Path) -> dict[str, bytes]:
    """Return every file of an output folder."""
    files = (path for path in output.rglob("*") if path.is_file())
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in files}


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock, seconds of a processor, and the most MiB of memory."""

    seconds: float
    processor: float
    memory: float


def measured(source: Path, output: Path) -> Cost:
    """Prepare in a process of its own, and return what that cost."""
    command = "from lorabay.cli import main; main()"
    started = time.perf_counter()
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", command, "data", "prepare", str(source), "-o", str(output)],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - started
    if status:
        sys.exit(f"the preparation ended with {os.waitstatus_to_exitcode(status)}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def main() -> None:
    """Plant, prepare as often as is wished, prepare what came out, and print what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=2)
    wishes = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "source"
        source.mkdir()
        planted = plant(source, wishes.rows)

        outputs = [folder / f"out-{number}" for number in range(wishes.runs)]
        for output in outputs:
            cost = measured(source, output)
            sys.stdout.write(
                f"{wishes.rows} rows: {cost.seconds:.1f} s, {cost.processor:.1f} s of a processor, "
                f"{cost.memory:.0f} MiB\n"
            )
            sys.stdout.flush()
        sys.stdout.write(f"{judge(planted, outputs[0])}\n")
        same = all(parts_of(output) == parts_of(outputs[0]) for output in outputs)
        sys.stdout.write(f"same bytes: {same}\n")

        measured(outputs[0], folder / "again")
        first, again = parts_of(outputs[0]), parts_of(folder / "again")
        unchanged = all(first[f"{part}.jsonl"] == again[f"{part}.jsonl"] for part in PARTS)
        sys.stdout.write(f"its own output unchanged: {unchanged}, ")
        sys.stdout.write(f"changes listed: {len(again['report/changes.jsonl'])} bytes\n")


if __name__ == "__main__":
    main()
