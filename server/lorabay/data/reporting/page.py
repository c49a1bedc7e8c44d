"""The report as one HTML page, from its plain values."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from lorabay.data.reasons import MEANINGS, Code
from lorabay.data.reporting.lengths import LENGTH_STEPS
from lorabay.data.reporting.plots import bars, columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 760px; margin: 2rem auto; padding: 0 1rem;
  color: #1c2430; background: #fff; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; }
th, td { text-align: left; padding: .2rem .9rem .2rem 0; border-bottom: 1px solid #dde3ea; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
svg { display: block; margin: .5rem 0 1.5rem; max-width: 100%; height: auto; }
svg rect { fill: #2f6fb2; }
svg text { font-size: 12px; fill: currentColor; }
.note { border-left: 4px solid #c77700; padding: .2rem .8rem; background: #fff6e5; color: #1c2430; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e9ee; background: #14181e; }
  th, td { border-color: #333b46; }
  svg rect { fill: #6aa9e9; }
}
"""


def page(facts: Mapping[str, Any]) -> str:
    """Return the page of a report's values."""
    read, kept = facts["rows_read"], facts["rows_kept"]
    body = [
        "<h1>Prepared data</h1>",
        f"<p>{kept:,} of {read:,} rows were kept, in {facts['clusters']:,} clusters. "
        "The list of every row that was removed or changed is <code>changes.jsonl</code>.</p>",
        *(f'<p class="note">{escape(warning)}</p>' for warning in facts["warnings"]),
        "<h2>Parts</h2>",
        bars({name: part["rows"] for name, part in facts["parts"].items()}),
        _table(("part", "rows", "clusters", "turns"), _parts(facts)),
        "<h2>Files</h2>",
        _table(
            ("file", "type", "layout", "rows", "kept"),
            (tuple(one.values()) for one in facts["files"]),
        ),
        *_reasons("Removed", facts["removed"]),
        *_reasons("Changed", facts["changed"]),
        *_personal_data(facts["personal_data"]),
        "<h2>Lengths of questions, in characters</h2>",
        *_lengths(facts["question_chars"]),
        "<h2>Lengths of answers, in characters</h2>",
        *_lengths(facts["answer_chars"]),
    ]
    if facts["near_duplicate_similarities"]:
        body += [
            "<h2>Similarity of near duplicates to the row that stayed</h2>",
            columns(facts["near_duplicate_similarities"]),
        ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Prepared data</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _parts(facts: Mapping[str, Any]) -> Iterable[tuple[object, ...]]:
    for name, part in facts["parts"].items():
        yield name, part["rows"], part["clusters"], part["turns"]


def _reasons(title: str, counts: Mapping[str, int]) -> list[str]:
    if not counts:
        return []
    rows = (
        (MEANINGS[Code(code)].step, code, count, MEANINGS[Code(code)].text)
        for code, count in counts.items()
    )
    return [f"<h2>{title}</h2>", bars(counts), _table(("step", "reason", "rows", "meaning"), rows)]


def _personal_data(found: Mapping[str, Mapping[str, int]] | None) -> list[str]:
    if not found:
        return []
    rows = ((kind, *counts.values()) for kind, counts in found.items())
    languages = next(iter(found.values()))
    return ["<h2>Personal data that was replaced</h2>", _table(("kind", *languages), rows)]


def _lengths(lengths: Mapping[str, Any]) -> list[str]:
    names = [*(f"to {step}" for step in LENGTH_STEPS), "more"]
    return [
        f"<p>median {lengths['median']:,}, 95th percentile {lengths['p95']:,}, "
        f"longest {lengths['longest']:,}</p>",
        columns(dict(zip(names, lengths["counts"], strict=True))),
    ]


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    lines = ("".join(map(_cell, row)) for row in rows)
    return f"<table><tr>{titles}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f'<td class="number">{value:,}</td>'
    return f"<td>{escape(str(value))}</td>"
