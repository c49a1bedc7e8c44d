"""The report as one HTML page, which loads nothing from elsewhere."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from lorabay.errors import SetupError
from lorabay.files import durable
from lorabay.judging.reporting.drawing import Mark, marks
from lorabay.judging.reporting.findings import interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lorabay.judging.reporting.report import Report

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.6 system-ui, sans-serif; max-width: 820px; margin: 2rem auto; padding: 0 1rem;
  color: #1d2624; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0 1rem; }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid #d5dbd7; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
svg { display: block; max-width: 100%; height: auto; margin: .5rem 0; }
svg text { font-size: 13px; fill: currentColor; }
svg .axis { stroke: #9aa6a2; } svg .half { stroke: #9aa6a2; stroke-dasharray: 4 4; }
svg .interval { stroke: #1f6f6b; stroke-width: 3; } svg circle { fill: #1f6f6b; }
.note { border-left: 4px solid #c77700; padding: .2rem .8rem; background: #fff1d6; color: #5c3d00; }
@media (prefers-color-scheme: dark) {
  body { color: #e7ecea; background: #14191a; }
  th, td { border-color: #364143; }
  svg .interval { stroke: #5cc2b6; } svg circle { fill: #5cc2b6; }
  .note { background: #3c3013; color: #ffdf9c; }
}
"""


def write_page(report: Report, path: Path) -> None:
    """Write the page of a report; raise SetupError if it cannot be written."""
    try:
        durable.write(path, page(report))
    except OSError as error:
        raise SetupError(f"cannot write {path}: {error.strerror or error}") from error


def page(report: Report) -> str:
    """Return the page of a report."""
    votes = sum(report.done.values())
    body = [
        "<h1>What people said</h1>",
        f"<p>{votes:,} votes of {len(report.done)} judges on {len(report.names)} sets of answers, "
        "without knowing whose they were.</p>",
        *(f"<p>{escape(finding)}</p>" for finding in report.findings),
        *(f'<p class="note">{escape(warning)}.</p>' for warning in report.warnings),
        "<h2>Two by two</h2>",
        "<p>Share of decided pairs that the first one won, by the majority of the judges, with "
        "Wilson's interval of 95 %. An interval that crosses the middle may be noise.</p>",
        marks(_duel_marks(report)),
        _table(
            ("first", "second", "won", "tied", "lost", "votes", "pairs", "p", "better"),
            _duel_rows(report),
        ),
    ]
    if report.strengths:
        body += [
            "<h2>All together</h2>",
            "<p>How often each would be preferred to the mean of the others (Bradley-Terry), with "
            "intervals by bootstrap over questions.</p>",
            marks([Mark(one.name, one.preference, one.low, one.high) for one in report.strengths]),
        ]
    body += [
        "<h2>Judges</h2>",
        f"<p>Krippendorff's {escape(report.agreed)}.</p>" if report.agreement.compared else "",
        _table(
            ("judge", "voted", "of"),
            ((judge, report.done.get(judge, 0), of) for judge, of in report.asked.items()),
        ),
        "<h2>What should make no difference</h2>",
        "<p>Of the decided votes, the answer at the left won "
        f"{escape(interval(report.left))}, the longer one {escape(interval(report.longer))}.</p>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>What people said</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(filter(None, body))
        + "\n</body></html>\n"
    )


def _duel_marks(report: Report) -> Sequence[Mark]:
    return [
        Mark(
            f"{duel.first} : {duel.second}",
            duel.majorities.value,
            duel.majorities.low,
            duel.majorities.high,
        )
        for duel in report.duels
    ]


def _duel_rows(report: Report) -> Iterable[tuple[object, ...]]:
    for duel in report.duels:
        yield (
            duel.first,
            duel.second,
            duel.votes.part,
            duel.ties,
            duel.votes.total - duel.votes.part,
            interval(duel.votes),
            interval(duel.majorities),
            f"{duel.p:.3f}",
            duel.winner or "(noise)",
        )


def _table(head: Sequence[str], rows: Iterable[tuple[object, ...]]) -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    lines = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{titles}</tr>{lines}</table></div>'


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f'<td class="number">{value:,}</td>'
    return f"<td>{escape(str(value))}</td>"
