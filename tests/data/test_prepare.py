"""A whole preparation: what is written, what is listed, and what is refused."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lorabay.data.cleaning.cleaner import CleaningWishes
from lorabay.data.example import Example
from lorabay.data.inputs import InputWishes
from lorabay.data.prepare import PrepareWishes, prepare, row_steps
from lorabay.data.reasons import Code
from lorabay.data.splitting import SplitWishes
from lorabay.data.system_message import SystemMessage
from lorabay.errors import SetupError, UsageError
from tests.data.planted import Writer
from tests.failing_disk import files_limited_to

WHOLE = PrepareWishes(split=SplitWishes(dev=0, test=0))


def _rows(count: int, seed: int = 3) -> list[dict[str, Any]]:
    writer = Writer(seed)
    return [dict(writer.row()) for _ in range(count)]


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _changes(output: Path) -> list[tuple[str, str]]:
    changes = _read(output / "report" / "changes.jsonl")
    return [(change["source"], change["reason"]) for change in changes]


def test_inputs_of_several_kinds_become_one_format(tmp_path: Path) -> None:
    """In the order of the input, several turns kept."""
    (tmp_path / "a.csv").write_text("question,answer\nWhere is it?,It left our warehouse today.\n")
    (tmp_path / "b.txt").write_text(
        "User: hello there\nAgent: Good morning to you.\n"
        "User: 怎么退货？\nAgent: 请点击我的订单。\n"
    )
    _write(
        tmp_path / "c.jsonl",
        [
            {
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "Is it open on Sunday?"},
                    {"role": "assistant", "content": "No, on weekdays only."},
                ]
            }
        ],
    )
    report = prepare(
        [tmp_path / name for name in ("a.csv", "b.txt", "c.jsonl")], tmp_path / "out", WHOLE
    )

    assert _read(tmp_path / "out" / "train.jsonl") == [
        {"instruction": "Where is it?", "input": "", "output": "It left our warehouse today."},
        {
            "instruction": "怎么退货？",
            "input": "",
            "output": "请点击我的订单。",
            "history": [["hello there", "Good morning to you."]],
        },
        {
            "instruction": "Is it open on Sunday?",
            "input": "",
            "output": "No, on weekdays only.",
            "system": "Be brief.",
        },
    ]
    found = [(one.file_type, one.layout) for one in report.files]
    assert found == [("csv", "pairs"), ("transcript", "messages"), ("jsonl", "messages")]
    written = sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert written == ["changes.jsonl", "report.html", "report.json", "train.jsonl"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.txt", "c.jsonl", "out"]


def test_every_row_that_is_not_as_it_was_is_listed(tmp_path: Path) -> None:
    """By file and place, with its reason."""
    rows = _rows(3)
    rows[1] = rows[1] | {"output": f"<p>{rows[1]['output']}</p>"}
    rows += [rows[0], rows[2] | {"output": rows[2]["output"] + " Extra."}, rows[0] | {"output": ""}]
    _write(tmp_path / "a.jsonl", rows)
    with (tmp_path / "a.jsonl").open("a", encoding="utf-8") as file:
        file.write("{broken\n")

    prepare([tmp_path / "a.jsonl"], tmp_path / "out", WHOLE)
    assert sorted(_changes(tmp_path / "out")) == [
        ("a.jsonl:2", "markup_removed"),
        ("a.jsonl:2", "whitespace_trimmed"),
        ("a.jsonl:3", "near_duplicate"),
        ("a.jsonl:4", "exact_duplicate"),
        ("a.jsonl:6", "empty_answer"),
        ("a.jsonl:7", "broken_line"),
    ]
    kept = _read(tmp_path / "out" / "train.jsonl")
    # The longer of two that are similar stays.
    assert [row["output"] for row in kept][-1].endswith("Extra.")
    assert len(kept) == 3


def test_the_order_of_rows_and_files_changes_no_part(tmp_path: Path) -> None:
    """Nor does what stands beside a row."""
    rows = _rows(200)
    wishes = PrepareWishes(split=SplitWishes(dev=0.2, test=0.2))
    prepare([_write(tmp_path / "a.jsonl", rows)], tmp_path / "out", wishes)
    others = [*rows[::-1], *_rows(100, seed=9)]
    prepare([_write(tmp_path / "b.jsonl", others)], tmp_path / "other", wishes)

    for part in ("train", "dev", "test"):
        first, second = (
            {row["instruction"] for row in _read(tmp_path / name / f"{part}.jsonl")}
            for name in ("out", "other")
        )
        assert first < second


def test_rows_that_ask_the_same_are_in_one_part(tmp_path: Path) -> None:
    """However they are answered; the report counts such questions."""
    rows = _rows(120)
    twins = [row | {"output": other["output"]} for row, other in pairwise(rows)]
    wishes = PrepareWishes(split=SplitWishes(dev=0.2, test=0.2))
    report = prepare([_write(tmp_path / "a.jsonl", rows + twins)], tmp_path / "out", wishes)

    asked = [
        {row["instruction"] for row in _read(tmp_path / "out" / f"{part}.jsonl")}
        for part in ("train", "dev", "test")
    ]
    assert not asked[0] & asked[1] | asked[0] & asked[2] | asked[1] & asked[2]
    assert report.questions_answered_differently >= 115


def test_a_customer_is_in_one_part(tmp_path: Path) -> None:
    """All that one has asked."""
    rows = [row | {"who": f"c{number % 40}"} for number, row in enumerate(_rows(200))]
    wishes = PrepareWishes(split=SplitWishes("customer", 0.2, 0.2, customer_field="who"))
    prepare([_write(tmp_path / "a.jsonl", rows)], tmp_path / "out", wishes)

    who = {row["instruction"]: row["who"] for row in rows}
    parts = [
        {who[row["instruction"]] for row in _read(tmp_path / "out" / f"{part}.jsonl")}
        for part in ("train", "dev", "test")
    ]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 40


def test_the_newest_rows_are_test(tmp_path: Path) -> None:
    """A row without a time is listed."""
    rows = [row | {"at": f"2026-01-{number + 1:02}"} for number, row in enumerate(_rows(20))]
    rows.append({**_rows(1, seed=8)[0], "at": "soon"})
    wishes = PrepareWishes(split=SplitWishes("time", 0.1, 0.1, time_field="at"))
    prepare([_write(tmp_path / "a.jsonl", rows)], tmp_path / "out", wishes)

    newest = _read(tmp_path / "out" / "test.jsonl")
    assert [row["instruction"] for row in newest] == [row["instruction"] for row in rows[18:20]]
    assert ("a.jsonl:21", "missing_field") in _changes(tmp_path / "out")


def test_parts_that_files_say_are_kept_and_leaks_go_from_train(tmp_path: Path) -> None:
    """What is in test stays in test; what says or asks the same in train goes."""
    rows = _rows(10)
    _write(tmp_path / "train.jsonl", [*rows, rows[0] | {"output": "Something else altogether."}])
    near = rows[1] | {"output": rows[1]["output"] + " So."}
    _write(tmp_path / "heldout.jsonl", [rows[0], near, *_rows(1, seed=8)])
    wishes = PrepareWishes(split=SplitWishes("parts"))
    prepare([tmp_path], tmp_path.parent / f"{tmp_path.name}-out", wishes)

    output = tmp_path.parent / f"{tmp_path.name}-out"
    assert sorted(_changes(output)) == [
        ("train.jsonl:1", "leak"),
        ("train.jsonl:11", "leak"),
        ("train.jsonl:2", "leak"),
    ]
    assert len(_read(output / "test.jsonl")) == 3
    assert len(_read(output / "train.jsonl")) == 8


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\n\n", "the input holds no rows"),
        ("{broken\n" * 3, "none of 3 rows can be kept: 3 have the reason broken_line"),
        ('{"a": "x", "b": "y"}\n', "the layout cannot be told from the fields a, b"),
        (
            json.dumps({"instruction": "Why is it?", "output": "So it is."}),
            "empty: 1 rows",
        ),
    ],
)
def test_input_that_comes_to_nothing_is_one_line(tmp_path: Path, text: str, problem: str) -> None:
    """And leaves nothing."""
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(SetupError, match=problem):
        prepare([tmp_path / "a.jsonl"], tmp_path / "out", PrepareWishes())
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_an_output_that_is_there_is_not_touched(tmp_path: Path) -> None:
    """Nor may it lie inside an input."""
    source = _write(tmp_path / "a.jsonl", _rows(3))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "train.jsonl").write_text("mine")
    with pytest.raises(SetupError, match="is there already"):
        prepare([source], tmp_path / "out", WHOLE)
    assert (tmp_path / "out" / "train.jsonl").read_text() == "mine"
    with pytest.raises(SetupError, match="lies inside"):
        prepare([tmp_path], tmp_path / "new", WHOLE)


def test_a_disk_that_takes_no_more_is_one_line(tmp_path: Path) -> None:
    """Also while rows are read; nothing is left of what was written."""
    source = _write(tmp_path / "a.jsonl", _rows(200))
    problem = "out cannot be written: File too large"
    with files_limited_to(8192), pytest.raises(SetupError, match=problem):
        prepare([source], tmp_path / "out", WHOLE)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_line_of_many_megabytes_is_listed_and_not_kept_in_memory(tmp_path: Path) -> None:
    """The rows around it are read."""
    rows = _rows(2)
    _write(tmp_path / "a.jsonl", rows[:1])
    with (tmp_path / "a.jsonl").open("a", encoding="utf-8") as file:
        file.write(f'{{"instruction": "{"x" * (20 << 20)}"}}\n')
        file.write(f"{json.dumps(rows[1], ensure_ascii=False)}\n")

    wishes = PrepareWishes(inputs=InputWishes(max_line_chars=1 << 20), split=WHOLE.split)
    report = prepare([tmp_path / "a.jsonl"], tmp_path / "out", wishes)
    assert report.reasons == {Code.LINE_TOO_LONG: 1}
    assert len(_read(tmp_path / "out" / "train.jsonl")) == 2


@pytest.mark.parametrize(
    ("wishes", "problem"),
    [
        (PrepareWishes(similarity=0.3), "--similarity is from 0.5"),
        (PrepareWishes(cluster_similarity=0.9), "--cluster-similarity is from"),
        (PrepareWishes(max_tokens=5), "--max-tokens needs --base"),
        (PrepareWishes(split=SplitWishes(by="x")), "--split-by"),
        (PrepareWishes(cleaning=CleaningWishes(skip=frozenset({"x"}))), "--skip"),
        (PrepareWishes(inputs=InputWishes(layout="x")), "--layout"),
    ],
)
def test_wishes_that_cannot_be_had_are_refused(
    tmp_path: Path, wishes: PrepareWishes, problem: str
) -> None:
    """As wrong usage, with nothing written."""
    source = _write(tmp_path / "a.jsonl", _rows(3))
    with pytest.raises(UsageError, match=problem):
        prepare([source], tmp_path / "out", wishes)
    assert not (tmp_path / "out").exists()


def test_system_messages_go_where_they_are_wished(tmp_path: Path) -> None:
    """After cleaning, before duplicates."""
    steps = row_steps(PrepareWishes(system=SystemMessage("move")), None, None)
    assert len(steps) == 2
    rows = [row | {"system": "Be brief, please."} for row in _rows(2)]
    wishes = PrepareWishes(split=WHOLE.split, system=SystemMessage("move"))
    report = prepare([_write(tmp_path / "a.jsonl", rows)], tmp_path / "out", wishes)
    assert report.reasons == {Code.SYSTEM_MOVED: 2}
    first = _read(tmp_path / "out" / "train.jsonl")[0]
    assert first["instruction"].startswith("Be brief, please.\n\n")
    assert Example(first["instruction"], first["output"]).system == ""
