"""Scenario `convert`, on a model of 10 MB."""

from __future__ import annotations

import pytest

from lorabay.bench.runner import run_bench
from lorabay.bench.settings import BenchSettings
from lorabay.errors import UsageError


def test_both_conversions_are_compared_with_a_reading(capfd: pytest.CaptureFixture[str]) -> None:
    """One ratio a round for each, and the medians of all sides."""
    report = run_bench(BenchSettings(scenario="convert", size_gb=0.01, rounds=2))
    names = [comparison.name for comparison in report.findings.comparisons]
    assert names == ["convert adalora / reading the model", "convert vera / reading the model"]
    assert all(len(comparison.values) == 2 for comparison in report.findings.comparisons)
    assert [fact.value > 0 for fact in report.findings.facts] == [True] * 3


def test_a_url_is_refused() -> None:
    """The scenario measures a model of its own, not a server."""
    with pytest.raises(UsageError, match="--url"):
        run_bench(BenchSettings(scenario="convert", url="http://127.0.0.1:1"))
