"""The findings of a bench invocation and their JSON form.

Values only: measured by scenarios, shown by `table`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.bench.alternation import Comparison
    from lorabay.bench.machine import Machine
    from lorabay.bench.settings import BenchSettings
    from lorabay.bench.stats import RunStats


@dataclass(frozen=True, slots=True)
class Run:
    """One measured run of one side. Processor figures are None where they are not measured, as for
    a server that runs elsewhere.
    """

    side: str
    round: int
    concurrency: int
    stats: RunStats
    client_cpu_s: float
    server_cpu_s: float | None = None
    idle_cpu_share: float | None = None
    """Processor time of the sides that waited, as a share of one core. Unless it is near 0, the
    figure is worth little.
    """
    foreign_cpu_share: float | None = None
    """Processor time of everything else on the machine, as a share of one core. On a busy machine
    only many rounds make a ratio.
    """


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from a server's spawn to its first answered completion."""

    side: str
    round: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Fact:
    """One figure that is neither a run nor a comparison of sides, and its bar if it has one.

    `unit` follows the figure when it is shown: s, ms, MiB, x, %, or nothing for a number of things.
    """

    name: str
    value: float
    unit: Literal["s", "ms", "MiB", "x", "%", ""]
    bar: float | None = None
    """Ceiling of the value; the bar itself passes."""

    @property
    def passed(self) -> bool:
        """True if there is no bar, too."""
        return self.bar is None or self.value <= self.bar


@dataclass(frozen=True, slots=True)
class Grid:
    """Figures that are read across: a row of them for each thing, without bars."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """All that one scenario measured, in the order in which it is shown."""

    runs: tuple[Run, ...] = ()
    starts: tuple[Start, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    facts: tuple[Fact, ...] = ()
    grids: tuple[Grid, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Findings with everything that repeats them."""

    date: str
    settings: BenchSettings
    machine: Machine
    versions: Mapping[str, str | None]
    findings: Findings

    @property
    def failures(self) -> int:
        return sum(sum(run.stats.failures.values()) for run in self.findings.runs)

    @property
    def passed(self) -> bool:
        """True if every bar is reached and no request failed."""
        verdicts = [comparison.passed for comparison in self.findings.comparisons]
        verdicts += [fact.passed for fact in self.findings.facts]
        return not self.failures and all(verdicts)


def to_json(report: Report) -> str:
    """Return the whole report as JSON, with derived values and without the API key."""
    findings = report.findings

    document = {
        "scenario": report.settings.scenario,
        "date": report.date,
        "passed": report.passed,
        "failures": report.failures,
        "machine": asdict(report.machine),
        "versions": dict(report.versions),
        "settings": asdict(replace(report.settings, api_key=None)),
        "starts": [asdict(start) for start in findings.starts],
        "facts": [asdict(fact) | {"passed": fact.passed} for fact in findings.facts],
        "grids": [asdict(grid) for grid in findings.grids],
        "comparisons": [_comparison(comparison) for comparison in findings.comparisons],
        "runs": [_run(run) for run in findings.runs],
    }

    # Paths among the settings become strings.
    return json.dumps(document, indent=2, default=str)


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return asdict(comparison) | {"median": comparison.median, "passed": comparison.passed}


def _run(run: Run) -> dict[str, Any]:
    row = asdict(run)
    row["stats"]["output_tokens_per_s"] = run.stats.output_tokens_per_s
    return row
