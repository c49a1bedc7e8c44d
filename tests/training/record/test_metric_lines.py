"""Metrics are lines of JSON, each step once, also over kills."""

from __future__ import annotations

from pathlib import Path

from lorabay.training.loop.trackers import Learnt, Looked
from lorabay.training.record.metric_lines import MetricLines, read_metrics


def _write(lines: MetricLines, first: int, last: int) -> None:
    for step in range(first, last + 1):
        lines.learnt(Learnt(step, 9, 1, 1.5, 0.01, 100, 0.5))


def test_steps_and_looks_are_lines(tmp_path: Path) -> None:
    """Each with its kind and its figures."""
    lines = MetricLines(tmp_path / "metrics.jsonl")
    lines.began(0)
    _write(lines, 1, 2)
    assert lines.looked(Looked(2, 9, 1.25, is_best=True)) is None
    found = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["kind"] for line in found] == ["step", "step", "dev"]
    assert found[0]["tokens"] == 100
    assert found[2] == {"kind": "dev", "step": 2, "steps": 9, "loss": 1.25, "is_best": True}


def test_what_is_learnt_again_is_written_again(tmp_path: Path) -> None:
    """Lines behind a checkpoint go, and so does one that a kill tore."""
    lines = MetricLines(tmp_path / "metrics.jsonl")
    lines.began(0)
    _write(lines, 1, 5)
    with (tmp_path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"kind": "st')
    lines.began(3)
    _write(lines, 4, 6)
    steps = [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_no_file_has_no_lines(tmp_path: Path) -> None:
    """A training that has not begun."""
    assert read_metrics(tmp_path / "metrics.jsonl") == []
