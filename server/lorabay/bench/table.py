"""A report as tables for a terminal.

Knows how figures are written, not how they came about.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from lorabay.bench.alternation import Comparison
    from lorabay.bench.report import Fact, Grid, Report, Run, Start

NOTHING = "-"

FORMS = {"x": "{:.3f} x", "s": "{:.1f} s", "points": "{:.1f} points"}
"""How a compared figure is written, by its unit."""


def render(report: Report) -> RenderableType:
    """Return runs, failures, starts, grids, facts and comparisons as tables, then place and date.

    A table without rows is left out.
    """
    findings = report.findings
    tables = (
        _runs(findings.runs),
        _failures(findings.runs),
        _starts(findings.starts),
        *map(_grid, findings.grids),
        _facts(findings.facts),
        _comparisons(findings.comparisons),
    )
    return Group(*(table for table in tables if table.rows), _origin(report))


def _runs(runs: Sequence[Run]) -> Table:
    table = Table(title="Runs (latencies in ms)")
    table.add_column("side")
    for heading in (
        "round",
        "streams",
        "output tokens/s",
        "first token p50",
        "p99",
        "inter-token p50",
        "p99",
        "failed",
        "idle CPU",
        "other CPU",
    ):
        table.add_column(heading, justify="right")

    for run in runs:
        stats = run.stats
        table.add_row(
            run.side,
            str(run.round + 1),
            str(run.concurrency),
            f"{stats.output_tokens_per_s:.1f}",
            _figure(stats.first_token.p50_ms, "{:.1f}"),
            _figure(stats.first_token.p99_ms, "{:.1f}"),
            _figure(stats.inter_token.p50_ms, "{:.1f}"),
            _figure(stats.inter_token.p99_ms, "{:.1f}"),
            str(sum(stats.failures.values())),
            _figure(run.idle_cpu_share, "{:.1%}"),
            _figure(run.foreign_cpu_share, "{:.1%}"),
        )
    return table


def _failures(runs: Sequence[Run]) -> Table:
    """Return the reasons of all runs together, the most frequent first."""
    total: Counter[str] = Counter()
    for run in runs:
        total.update(run.stats.failures)

    table = Table("reason", "requests", title="Failures")
    for reason, count in total.most_common():
        table.add_row(reason, str(count))
    return table


def _starts(starts: Sequence[Start]) -> Table:
    table = Table("side", "round", "spawn to first answer, s", title="Starts")
    for start in starts:
        table.add_row(start.side, str(start.round + 1), f"{start.seconds:.1f}")
    return table


def _grid(grid: Grid) -> Table:
    table = Table(title=grid.title)
    for heading in grid.headings:
        table.add_column(heading, justify="left" if _is_text(grid, heading) else "right")
    for row in grid.rows:
        table.add_row(*(cell if isinstance(cell, str) else _measure(cell, "") for cell in row))
    return table


def _is_text(grid: Grid, heading: str) -> bool:
    column = grid.headings.index(heading)
    return all(isinstance(row[column], str) for row in grid.rows)


def _facts(facts: Sequence[Fact]) -> Table:
    table = Table(title="Facts")
    table.add_column("what")
    table.add_column("figure", justify="right")
    table.add_column("bar", justify="right")
    table.add_column("")

    for fact in facts:
        figure = _measure(fact.value, fact.unit)
        if fact.bar is None:
            table.add_row(fact.name, figure, "", "")
        else:
            bar = f"<= {_measure(fact.bar, fact.unit)}"
            table.add_row(fact.name, figure, bar, _verdict(fact.passed))
    return table


def _comparisons(comparisons: Sequence[Comparison]) -> Table:
    table = Table(title="Comparisons, round by round")
    table.add_column("what")
    for heading in ("median", "least", "most", "rounds", "bar"):
        table.add_column(heading, justify="right")
    table.add_column("")

    for comparison in comparisons:
        form = FORMS[comparison.unit]
        direction = ">=" if comparison.at_least else "<="
        table.add_row(
            comparison.name,
            form.format(comparison.median),
            form.format(min(comparison.values)),
            form.format(max(comparison.values)),
            str(len(comparison.values)),
            f"{direction} {form.format(comparison.bar)}",
            _verdict(comparison.passed),
        )
    return table


def _origin(report: Report) -> str:
    machine, settings = report.machine, report.settings

    load = f"{settings.prompt_tokens} prompt and {settings.output_tokens} output tokens"
    scenario = f"{report.date}, scenario {settings.scenario}: {settings.endpoint}, {load}"
    size = (f"{machine.cores} cores", f"{machine.memory_gib} GiB")
    place = ", ".join((machine.cpu, *size, *machine.accelerators))
    programs = (f"{name} {version or NOTHING}" for name, version in report.versions.items())
    return "\n".join((scenario, place, ", ".join(programs)))


def _figure(value: float | None, form: str) -> str:
    return NOTHING if value is None else form.format(value)


def _measure(value: float, unit: str) -> str:
    """Return a figure with three digits, or with all digits of a whole number."""
    figure = f"{value:.0f}" if value >= 1000 or value == round(value) else f"{value:.3g}"
    return f"{figure} {unit}".rstrip()


def _verdict(passed: bool) -> str:
    return "[green]passed[/]" if passed else "[red]missed[/]"
