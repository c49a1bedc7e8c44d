"""An evaluation for a terminal: figures, checks, and what adapters changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.evaluation.general import GENERAL
from lorabay.evaluation.sets import BASE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from lorabay.evaluation.results import Comparison, Evaluation, Figure, Score

COLUMNS = {
    "perplexity": "perplexity",
    "rouge_l": "ROUGE-L",
    "bleu": "BLEU",
    "chrf": "chrF",
}
"""Figures with an interval, and their titles."""

FORGOTTEN = ("perplexity", "check: right")
"""Figures of general questions that tell of memory; the others tell of style as well."""

PLAIN = {"words": "words", "refusals": "refusals %"}
"""Figures without one."""


def tables(evaluation: Evaluation) -> Group:
    """Return figures by set, then checks, then how each adapter differs from the base."""
    from rich.console import Group

    parts = [_figures(evaluation)]
    if evaluation.reference_checks:
        parts.append(_checks(evaluation))
    return Group(*parts, *_sentences(evaluation))


def _figures(evaluation: Evaluation) -> Table:
    from rich.table import Table

    table = Table(
        title="Held-out data, ± half of the interval that holds 95 %",
        title_justify="left",
        padding=(0, 1, 0, 0),
    )
    table.add_column("data")
    table.add_column("model")
    for title in (*COLUMNS.values(), *PLAIN.values()):
        table.add_column(title, justify="right")

    for data in evaluation.sets:
        scores = evaluation.on(data)
        best = _best(scores)
        for score in scores:
            table.add_row(*_cells(score), style="bold" if score is best else None)
        table.add_section()
    return table


def _best(scores: tuple[Score, ...]) -> Score | None:
    """Return the score of the lowest loss; None where no loss is known."""
    known = [score for score in scores if "loss" in score.figures]
    return min(known, key=lambda score: score["loss"], default=None)


def _cells(score: Score) -> list[str]:
    with_interval = [_short(score.figures.get(name)) for name in COLUMNS]
    plain = [score.get(name) for name in PLAIN]
    return [
        score.data,
        score.model,
        *with_interval,
        *("-" if value is None else f"{value:.0f}" for value in plain),
    ]


def _short(figure: Figure | None) -> str:
    """Return a figure as `2.93±0.23`, by half of its interval: a terminal is narrow."""
    if figure is None:
        return "-"
    low, high = figure.interval
    return f"{number(figure.value)}±{number((high - low) / 2)}"


def figure_text(figure: Figure | None) -> str:
    """Return a figure as `2.93 (2.71-3.18)`; a dash if it was not taken."""
    if figure is None:
        return "-"
    low, high = (number(end) for end in figure.interval)
    return f"{number(figure.value)} ({low}-{high})"


def number(value: float) -> str:
    """Return a value with three digits that count, as people write it."""
    if abs(value) >= 1000:
        return f"{value:.2g}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def _checks(evaluation: Evaluation) -> Table:
    from rich.table import Table

    table = Table(title="Answers that pass, %", title_justify="left")
    for column in ("data", "check", "reference", *evaluation.models):
        table.add_column(column, justify="left" if column in ("data", "check") else "right")

    for data, references in (evaluation.reference_checks or {}).items():
        for check, share in references.items():
            shares = [score.checks[check].value for score in evaluation.on(data)]
            table.add_row(data, check, f"{share:.0f}", *(f"{one:.0f}" for one in shares))
        table.add_section()
    return table


def _sentences(evaluation: Evaluation) -> Iterator[Text]:
    """Yield what each adapter changed on its own data, and what it forgot."""
    from rich.text import Text

    for model in evaluation.models:
        told = [(model, "perplexity"), (model, "rouge_l"), *((GENERAL, one) for one in FORGOTTEN)]
        for data, name in told:
            comparison = evaluation.comparison(model, data, name)
            if comparison is not None:
                yield Text(sentence(comparison))


def sentence(comparison: Comparison) -> str:
    """Return a comparison with the base as a sentence."""
    found = comparison.difference
    low, high = (signed(end) for end in found.interval)
    name = comparison.figure.removeprefix("check: ").replace("_", "-")
    what = f"{comparison.model} on {comparison.data}: {name} {signed(found.value)} to the {BASE}'s"
    if found.is_noise:
        return f"{what}, which is noise ({low} to {high}, p {found.p:.2g})"

    verdict = {True: "better", False: "worse", None: "other"}[comparison.is_better]
    is_of_memory = comparison.data == GENERAL and comparison.figure in FORGOTTEN
    if is_of_memory and comparison.is_better is False:
        verdict = "forgotten"
    return f"{what}, {verdict} ({low} to {high}, p {found.p:.2g})"


def signed(value: float) -> str:
    """Return a difference with its sign."""
    return f"{'+' if value > 0 else ''}{number(value)}"
