"""The JSON form of a report."""

from __future__ import annotations

import json
from pathlib import Path

from lorabay.bench.alternation import Comparison
from lorabay.bench.machine import Machine
from lorabay.bench.report import Fact, Findings, Report, Run, Start, to_json
from lorabay.bench.settings import BenchSettings
from lorabay.bench.stats import Latency, RunStats


def report(
    failures: dict[str, int] | None = None, ratio: float = 1.0, idle_s: float = 0.25
) -> Report:
    """A small report whose median ratio is `ratio`, as long as that lies between 0.9 and 1.1."""
    stats = RunStats(
        8,
        failures or {},
        2.0,
        256,
        512,
        Latency(50.0, 90.0),
        Latency(20.0, None),
        Latency(99.0, None),
    )
    return Report(
        date="2026-11-23T10:00:00+00:00",
        settings=BenchSettings(scenario="gateway", api_key="secret", adapters=Path("adapters")),
        machine=Machine("Some CPU", 2, 23.4, (), "Linux"),
        versions={"python": "3.11.9", "vllm": "0.32.0", "torch": None},
        findings=Findings(
            (Run("lorabay", 0, 8, stats, 0.1, 3.9, 0.004),),
            (Start("lorabay", 0, 30.5),),
            (Comparison("output tokens/s", (0.9, ratio, 1.1), "x", 0.97),),
            (Fact("idle pass", idle_s, "s", bar=1.0), Fact("memory", 80.5, "MiB")),
        ),
    )


def test_json_holds_all_that_repeats_and_judges_a_figure() -> None:
    """Machine, versions, settings, date, runs, starts, facts and comparisons, derived values
    included.
    """
    document = json.loads(to_json(report()))
    about = "scenario date passed failures machine versions settings"
    measured = "starts facts comparisons grids runs"

    assert set(document) == {*about.split(), *measured.split()}
    assert document["machine"]["cpu"] == "Some CPU"
    assert document["versions"]["vllm"] == "0.32.0"
    assert document["settings"]["concurrency"] == [8, 32]
    assert document["settings"]["adapters"] == "adapters"

    (run,) = document["runs"]
    assert run["stats"]["output_tokens_per_s"] == 256
    assert run["stats"]["first_token"] == {"p50_ms": 50.0, "p99_ms": 90.0}
    assert run["stats"]["inter_token"]["p99_ms"] is None
    assert (run["side"], run["concurrency"], run["idle_cpu_share"]) == ("lorabay", 8, 0.004)

    (comparison,) = document["comparisons"]
    assert (comparison["median"], comparison["passed"], comparison["values"]) == (
        1.0,
        True,
        [0.9, 1.0, 1.1],
    )
    assert document["facts"] == [
        {"name": "idle pass", "value": 0.25, "unit": "s", "bar": 1.0, "passed": True},
        {"name": "memory", "value": 80.5, "unit": "MiB", "bar": None, "passed": True},
    ]
    assert document["starts"] == [{"side": "lorabay", "round": 0, "seconds": 30.5}]


def test_the_key_is_not_in_the_report() -> None:
    """A report can be shown to anyone."""
    assert "secret" not in to_json(report())


def test_a_missed_bar_or_a_failed_request_does_not_pass() -> None:
    """`passed` needs both: every bar met, that of a comparison or of a fact, and no request
    failed.
    """
    assert report().passed
    assert not report(ratio=0.95).passed
    assert report(idle_s=1.0).passed
    assert not report(idle_s=1.1).passed
    failed = report(failures={"timed out": 1, "HTTP 500": 2})
    assert failed.failures == 3
    assert not failed.passed
