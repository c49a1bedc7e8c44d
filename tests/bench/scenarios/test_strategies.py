"""Scenario `strategies`: memory of a merged deployment counts for each adapter, of the shared one
once.
"""

from __future__ import annotations

import pytest

from lorabay.bench.progress import NoProgress
from lorabay.bench.report import Run, Start
from lorabay.bench.resources import MIB
from lorabay.bench.scenarios.strategies import (
    MERGED,
    SHARED,
    STREAMS,
    Deployment,
    Disk,
    compare_deployments,
    strategies,
)
from lorabay.bench.settings import BenchSettings
from lorabay.bench.stats import summarise
from lorabay.errors import UsageError


def deployed(side: str, memory: int) -> Deployment:
    """A server that started in 20 s and answered nothing."""
    run = Run(side, 0, STREAMS, summarise([], 1.0), 0.0)
    return Deployment(Start(side, 0, 20.0), run, memory)


def test_both_sides_are_reported() -> None:
    """The report has start, load, memory and disk of both sides."""
    findings = compare_deployments(
        deployed(MERGED, 700 * MIB),
        deployed(SHARED, 900 * MIB),
        [1.0, 2.0, 3.0],
        Disk(merged=3 * MIB, shared=2 * MIB),
    )
    facts = {fact.name: fact.value for fact in findings.facts}

    assert facts["memory, 3 merged deployments"] == 2100
    assert facts["memory, shared server"] == 900
    assert facts["merging them, together"] == 6
    assert (
        [start.side for start in findings.starts]
        == [run.side for run in findings.runs]
        == [MERGED, SHARED]
    )


def test_base_and_adapters_are_needed() -> None:
    """Without them nothing is merged or started."""
    with pytest.raises(UsageError, match="--base and --adapters"):
        strategies(BenchSettings(scenario="strategies"), NoProgress())
