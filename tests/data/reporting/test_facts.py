"""The report as values."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

from rich.console import Console

from lorabay.data.collecting import FileFacts
from lorabay.data.reasons import Code
from lorabay.data.reporting.facts import PartFacts, Report, similarity_counts
from lorabay.data.reporting.lengths import LENGTH_STEPS, Lengths

LENGTHS = Lengths(80, 300, 900, (1,) * (len(LENGTH_STEPS) + 1))
REPORT = Report(
    files=(FileFacts("<shop>.csv", "csv", "pairs", 1200, 1100),),
    parts={
        "train": PartFacts(900, 800, 950),
        "dev": PartFacts(50, 50, 50),
        "test": PartFacts(50, 50, 50),
    },
    reasons={Code.NEAR_DUPLICATE: 100, Code.BROKEN_LINE: 100, Code.WHITESPACE_TRIMMED: 7},
    clusters=900,
    largest_cluster=5,
    questions_answered_differently=0,
    question_chars=LENGTHS,
    answer_chars=LENGTHS,
    similarities=(0.91, 0.915, 1.0),
    template=None,
)


def test_reasons_are_in_the_order_of_the_steps() -> None:
    """Removals apart from changes; sums fit."""
    facts = REPORT.as_dict()
    assert facts["removed"] == {"broken_line": 100, "near_duplicate": 100}
    assert list(facts["removed"]) == ["broken_line", "near_duplicate"]
    assert facts["changed"] == {"whitespace_trimmed": 7}
    assert facts["rows_read"] - facts["rows_kept"] == 200
    assert similarity_counts(REPORT.similarities) == {"0.91": 2, "1.00": 1}


def test_a_user_is_told_what_to_look_at() -> None:
    """A cluster that holds much, answers that contradict, a template that misleads."""
    assert REPORT.warnings == ()
    odd = replace(
        REPORT,
        largest_cluster=500,
        questions_answered_differently=3,
        template={"answer_follows_prompt": False},
    )
    assert len(odd.warnings) == 3
    assert "500 of 1000 rows" in odd.warnings[0]


def test_the_table_and_the_files_say_the_same(tmp_path: Path) -> None:
    """Names with brackets are text."""
    console = Console(width=120, record=True, file=StringIO())
    console.print(REPORT.table(), markup=False)
    shown = console.export_text()
    for said in ("<shop>.csv", "1,200", "near_duplicate", "900"):
        assert said in shown

    REPORT.write(tmp_path)
    assert json.loads((tmp_path / "report.json").read_text()) == REPORT.as_dict()
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
