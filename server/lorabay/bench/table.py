"""A report as tables for a terminal. Knows how figures are written, not how they came about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from lorabay.bench.alternation import Comparison
    from lorabay.bench.report import Fact, Report, Run, Start

NOTHING = "-"


def render(report: Report) -> RenderableType:
    """Runs, start times, facts and comparisons, each only where there is one, then where and
    when.
    """
    findings = report.findings
    parts: list[RenderableType] = []
    if findings.runs:
        parts.append(_runs(findings.runs))
    parts += _failures(findings.runs)
    if findings.starts:
        parts.append(_starts(findings.starts))
    if findings.facts:
        parts.append(_facts(findings.facts))
    if findings.comparisons:
        parts.append(_comparisons(findings.comparisons))
    return Group(*parts, _origin(report))


def _runs(runs: Sequence[Run]) -> Table:
    table = Table(title="Runs (latencies in ms)")
    for heading in ("side", "round", "streams", "output tokens/s"):
        table.add_column(heading, justify="left" if heading == "side" else "right")
    for heading in (
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
            *(_figure(ms, "{:.1f}") for ms in (stats.first_token.p50_ms, stats.first_token.p99_ms)),
            *(_figure(ms, "{:.1f}") for ms in (stats.inter_token.p50_ms, stats.inter_token.p99_ms)),
            str(sum(stats.failures.values())),
            _figure(run.idle_cpu_share, "{:.1%}"),
            _figure(run.foreign_cpu_share, "{:.1%}"),
        )
    return table


def _failures(runs: Sequence[Run]) -> list[RenderableType]:
    total: dict[str, int] = {}
    for run in runs:
        for reason, count in run.stats.failures.items():
            total[reason] = total.get(reason, 0) + count
    if not total:
        return []
    table = Table("reason", "requests", title="Failures")
    for reason, count in sorted(total.items(), key=lambda item: -item[1]):
        table.add_row(reason, str(count))
    return [table]


def _starts(starts: Sequence[Start]) -> Table:
    table = Table("side", "round", "spawn to first answer, s", title="Starts")
    for start in starts:
        table.add_row(start.side, str(start.round + 1), f"{start.seconds:.1f}")
    return table


def _facts(facts: Sequence[Fact]) -> Table:
    table = Table(title="Facts")
    for heading in ("what", "figure", "bar", ""):
        table.add_column(heading, justify="left" if heading in ("what", "") else "right")
    for fact in facts:
        bar = "" if fact.bar is None else f"<= {_measure(fact.bar, fact.unit)}"
        verdict = "" if fact.bar is None else _verdict(fact.passed)
        table.add_row(fact.name, _measure(fact.value, fact.unit), bar, verdict)
    return table


def _comparisons(comparisons: Sequence[Comparison]) -> Table:
    table = Table(title="Comparisons, round by round")
    for heading in ("what", "median", "least", "most", "rounds", "bar", ""):
        table.add_column(heading, justify="left" if heading in ("what", "") else "right")
    for comparison in comparisons:
        form = "{:.3f} x" if comparison.unit == "x" else "{:.1f} s"
        figures = (comparison.median, min(comparison.values), max(comparison.values))
        bar = f"{'>=' if comparison.at_least else '<='} {form.format(comparison.bar)}"
        cells = (form.format(figure) for figure in figures)
        table.add_row(
            comparison.name, *cells, str(len(comparison.values)), bar, _verdict(comparison.passed)
        )
    return table


def _measure(value: float, unit: str) -> str:
    """Three digits, or all of a whole number's."""
    figure = f"{value:.0f}" if value >= 1000 or value == round(value) else f"{value:.3g}"
    return f"{figure} {unit}".rstrip()


def _verdict(passed: bool) -> str:
    return "[green]passed[/]" if passed else "[red]missed[/]"


def _origin(report: Report) -> str:
    machine, settings = report.machine, report.settings
    where = ", ".join(
        (machine.cpu, f"{machine.cores} cores", f"{machine.memory_gib} GiB", *machine.accelerators)
    )
    what = ", ".join(f"{name} {version or NOTHING}" for name, version in report.versions.items())
    load = f"{settings.endpoint}, {settings.prompt_tokens} prompt and {settings.output_tokens} output tokens"
    return f"{report.date}, scenario {settings.scenario}: {load}\n{where}\n{what}"


def _figure(value: float | None, form: str) -> str:
    return NOTHING if value is None else form.format(value)
