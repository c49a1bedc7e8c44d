"""Scenario `merge`, on a model of 50 MB."""

from __future__ import annotations

import pytest

from lorabay.bench.progress import NoProgress
from lorabay.bench.report import to_json
from lorabay.bench.runner import run_bench
from lorabay.bench.settings import BenchSettings
from lorabay.bench.table import render
from lorabay.errors import UsageError


def test_all_sides_are_measured() -> None:
    """The report has time and memory of each side, and the growth of memory with the model."""
    report = run_bench(BenchSettings(scenario="merge", rounds=1, size_gb=0.05), NoProgress())
    names = [comparison.name for comparison in report.findings.comparisons]

    assert names == [
        "wall time, lorabay / cp",
        "wall time, lorabay / PEFT",
        "peak memory, lorabay / PEFT",
    ]

    facts = {fact.name: fact for fact in report.findings.facts}
    assert facts["peak memory, lorabay, median"].value < facts["peak memory, PEFT, median"].value
    assert facts["memory as the model grows between them"].value < 1.3
    assert "peak memory" in to_json(report)
    assert render(report)


@pytest.mark.parametrize(
    "settings",
    [
        BenchSettings(scenario="merge", url="http://127.0.0.1:1"),
        BenchSettings(scenario="merge", size_gb=0.0),
    ],
)
def test_impossible_settings_are_refused(settings: BenchSettings) -> None:
    """A URL and a model of no size are usage errors."""
    with pytest.raises(UsageError):
        run_bench(settings, NoProgress())
