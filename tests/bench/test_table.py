"""The report on a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from lorabay.bench.alternation import Comparison
from lorabay.bench.machine import Machine
from lorabay.bench.report import Fact, Findings, Grid, Report, Run, Start
from lorabay.bench.settings import BenchSettings
from lorabay.bench.stats import Latency, RunStats
from lorabay.bench.table import render


def shown(findings: Findings) -> str:
    """Return the findings as printed on a wide console."""
    machine = Machine("Some CPU", 2, 23.4, ("NVIDIA H200",), "Linux")
    report = Report(
        "2026-11-23", BenchSettings(), machine, {"vllm": "0.32.0", "torch": None}, findings
    )
    out = io.StringIO()
    Console(file=out, width=200).print(render(report))
    return out.getvalue()


def cells(text: str, holds: str) -> list[str]:
    """Return the cells of the first row that holds a text."""
    line = next(line for line in text.splitlines() if holds in line)
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_a_run_shows_its_figures() -> None:
    """Side, round from 1, streams, tokens/s, both latencies, failures and the CPU of the others."""
    stats = RunStats(
        8,
        {"timed out": 2},
        2.0,
        256,
        513,
        Latency(50.04, 90.0),
        Latency(20.0, None),
        Latency(9.0, 9.0),
    )
    text = shown(Findings(runs=(Run("lorabay", 0, 8, stats, 0.1, 3.9, 0.004, 0.5),)))

    assert cells(text, "lorabay") == [
        "lorabay",
        "1",
        "8",
        "256.5",
        "50.0",
        "90.0",
        "20.0",
        "-",
        "2",
        "0.4%",
        "50.0%",
    ]
    assert cells(text, "timed out") == ["timed out", "2"]


def test_a_comparison_shows_median_spread_and_verdict() -> None:
    """Least and most stand beside the median; a bar can be a floor or a ceiling."""
    ratio = Comparison("8 streams", (0.91, 0.98, 1.02), "x", 0.97)
    later = Comparison("start", (5.5,), "s", 5.0, at_least=False)
    hits = Comparison("hits", (10.0, 11.25), "points", 5.0)
    text = shown(Findings(starts=(Start("vllm", 0, 31.26),), comparisons=(ratio, later, hits)))

    assert cells(text, "8 streams")[1:] == [
        "0.980 x",
        "0.910 x",
        "1.020 x",
        "3",
        ">= 0.970 x",
        "passed",
    ]
    assert cells(text, "<= 5.0 s")[1:] == ["5.5 s", "5.5 s", "5.5 s", "1", "<= 5.0 s", "missed"]
    assert cells(text, "hits")[1] == "10.6 points"
    assert cells(text, "31.3") == ["vllm", "1", "31.3"]


def test_a_grid_is_read_across() -> None:
    """Texts and figures as they are, a row for each thing."""
    grid = Grid("Placement", ("trace", "loads", "wait"), (("zipf", 0.12345, 2.0), ("bursts", 1, 0)))
    text = shown(Findings(grids=(grid,)))
    assert "Placement" in text
    assert cells(text, "zipf") == ["zipf", "0.123", "2"]
    assert cells(text, "bursts") == ["bursts", "1", "0"]


def test_a_fact_shows_its_figure_and_its_bar() -> None:
    """Three digits with the unit; a fact without a bar has no verdict."""
    text = shown(
        Findings(
            facts=(
                Fact("idle pass", 0.06249, "s", bar=1.0),
                Fact("read", 1234.56, "MiB", bar=50.5),
                Fact("failed", 0, "", bar=0),
                Fact("memory", 81.25, "MiB"),
            )
        )
    )

    assert cells(text, "idle pass") == ["idle pass", "0.0625 s", "<= 1 s", "passed"]
    assert cells(text, "read") == ["read", "1235 MiB", "<= 50.5 MiB", "missed"]
    assert cells(text, "failed") == ["failed", "0", "<= 0", "passed"]
    assert cells(text, "memory") == ["memory", "81.2 MiB", "", ""]


def test_empty_sections_are_left_out_and_the_origin_is_not() -> None:
    """Whatever was measured, machine, versions and date are shown."""
    text = shown(Findings())

    assert "Runs" not in text
    assert "Failures" not in text
    assert "Facts" not in text
    assert "Comparisons" not in text
    for origin in (
        "2026-11-23",
        "Some CPU, 2 cores, 23.4 GiB, NVIDIA H200",
        "vllm 0.32.0, torch -",
    ):
        assert origin in text
