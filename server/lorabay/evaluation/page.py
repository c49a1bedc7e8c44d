"""An evaluation as one HTML page: figures, checks, and the answers side by side.

Loads nothing from elsewhere, and runs no script.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from lorabay.errors import SetupError
from lorabay.evaluation.plots import whiskers
from lorabay.evaluation.tables import COLUMNS, PLAIN, figure_text, sentence
from lorabay.files import durable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from lorabay.evaluation.results import Answered, Evaluation, QuestionResult

_STYLE = """
:root { color-scheme: light dark; --line: #dde3ea; --ink: #1c2430; --paper: #fff; --dim: #5c6776;
  --good: #1d7a46; --bad: #b3261e; --mark: #2f6fb2; --card: #f5f7fa; }
@media (prefers-color-scheme: dark) { :root { --line: #333b46; --ink: #e6e9ee; --paper: #14181e;
  --dim: #9aa5b4; --good: #6fcf97; --bad: #ff8a80; --mark: #6aa9e9; --card: #1d232b; } }
body { font: 15px/1.5 system-ui, "Noto Sans CJK SC", sans-serif; max-width: 1240px;
  margin: 2rem auto; padding: 0 1rem; color: var(--ink); background: var(--paper); }
h2 { margin-top: 2.2rem; }
table { border-collapse: collapse; margin: .5rem 0 1.2rem; }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
svg { display: block; max-width: 100%; height: auto; }
svg line { stroke: var(--mark); stroke-width: 2; }
svg circle { fill: var(--mark); }
svg text { font-size: 12px; fill: currentColor; }
ul.found { padding-left: 1.1rem; }
.dim { color: var(--dim); }
article { border-top: 1px solid var(--line); padding: .8rem 0; }
article h3 { font-size: 1rem; margin: 0 0 .5rem; white-space: pre-wrap; }
.answers { display: grid; gap: .6rem; grid-template-columns: repeat(auto-fit, minmax(230px, 1fr)); }
.answer { background: var(--card); border-radius: 6px; padding: .5rem .7rem; }
.answer h4 { margin: 0 0 .3rem; font-size: .85rem; color: var(--dim); }
.answer p { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.answer ul { margin: .5rem 0 0; padding-left: 1rem; font-size: .85rem; color: var(--bad); }
.answer .passed { margin: .5rem 0 0; font-size: .85rem; color: var(--good); }
summary { cursor: pointer; font-weight: 600; }
"""


def page(evaluation: Evaluation) -> str:
    """Return the page of an evaluation."""
    body = [
        "<h1>Evaluation</h1>",
        '<p class="dim">Intervals hold 95 %. Loss and perplexity are those of the reference '
        "answers, in nats a token; the other figures are those of greedy answers.</p>",
        *(part for data in evaluation.sets for part in _set(evaluation, data)),
        "<h2>Answers</h2>",
        *(part for data in evaluation.sets for part in _answers(evaluation, data)),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Evaluation</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def write_page(evaluation: Evaluation, path: Path) -> None:
    """Write the page into a file; raises SetupError if that cannot be."""
    try:
        durable.write(path, page(evaluation))
    except OSError as error:
        raise SetupError(f"cannot write {path}: {error.strerror or error}") from error


def _set(evaluation: Evaluation, data: str) -> Iterator[str]:
    scores = evaluation.on(data)
    first = scores[0]
    yield f"<h2>{escape(data)}</h2>"
    yield f'<p class="dim">{first.examples} questions, {first.generated} answered.</p>'

    for name, title in COLUMNS.items():
        rows = {score.model: score.figures[name] for score in scores if name in score.figures}
        if rows:
            yield f"<h3>{title}</h3>{whiskers(rows)}"
    yield _figures(evaluation, data)
    yield _checks(evaluation, data)

    found = [sentence(one) for one in evaluation.comparisons if one.data == data]
    yield f'<ul class="found">{"".join(f"<li>{escape(text)}</li>" for text in found)}</ul>'


def _figures(evaluation: Evaluation, data: str) -> str:
    names = {"loss": "loss", **COLUMNS, "rouge_1": "ROUGE-1", "rouge_2": "ROUGE-2", **PLAIN}
    rows = (
        (score.model, *(figure_text(score.figures.get(name)) for name in names))
        for score in evaluation.on(data)
    )
    return _table(("model", *names.values()), rows)


def _checks(evaluation: Evaluation, data: str) -> str:
    references = (evaluation.reference_checks or {}).get(data)
    if not references:
        return ""

    scores = evaluation.on(data)
    rows = (
        (check, f"{share:.0f} %", *(f"{figure_text(one.checks[check])} %" for one in scores))
        for check, share in references.items()
    )
    return _table(("answers that pass", "reference", *(one.model for one in scores)), rows)


def _table(head: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    lines = "".join(f"<tr>{_row(row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{titles}</tr>{lines}</table></div>'


def _row(cells: tuple[str, ...]) -> str:
    name, *figures = map(escape, cells)
    return f"<td>{name}</td>" + "".join(f'<td class="number">{cell}</td>' for cell in figures)


def _answers(evaluation: Evaluation, data: str) -> Iterator[str]:
    questions = [one for one in evaluation.questions if one.data == data]
    if not questions:
        return
    yield f"<details open><summary>{escape(data)}</summary>"
    yield from map(_question, questions)
    yield "</details>"


def _question(one: QuestionResult) -> str:
    answers = [_answer("reference", one.reference)]
    answers += [_answer(model, answered) for model, answered in one.answers.items()]
    return (
        f"<article><h3>{escape(one.question)}</h3>"
        f'<div class="answers">{"".join(answers)}</div></article>'
    )


def _answer(model: str, answered: Answered) -> str:
    failed = {rule: problem for rule, problem in answered.problems.items() if problem}
    items = "".join(
        f"<li>{escape(rule)}: {escape(problem)}</li>" for rule, problem in failed.items()
    )
    verdict = f"<ul>{items}</ul>" if items else ""
    if answered.problems and not failed:
        verdict = '<p class="passed">passes all checks</p>'
    return (
        f'<div class="answer"><h4>{escape(model)}</h4><p>{escape(answered.text)}</p>{verdict}</div>'
    )
