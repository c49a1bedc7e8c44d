"""What a search came to: a table, JSON, and a page with plots."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from lorabay.files import durable
from lorabay.search.plots import plots

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import optuna
    from rich.console import Group

    from lorabay.search.finals import Final
    from lorabay.search.trials import Trial

_STYLE = """
:root { color-scheme: light dark; --line: #dde3ea; --ink: #1c2430; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --line: #333b46; --ink: #e6e9ee; --paper: #14181e; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 980px; margin: 2rem auto; padding: 0 1rem;
  color: var(--ink); background: var(--paper); }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; }
th, td { text-align: left; padding: .2rem .9rem .2rem 0; border-bottom: 1px solid var(--line); }
td { font-variant-numeric: tabular-nums; }
img { max-width: 100%; background: #fff; border-radius: 6px; margin: .5rem 0; }
.wide { overflow-x: auto; }
"""
_PLOTS = {
    "importance.png": "How much each setting matters",
    "rank.png": "Rank and loss on dev",
    "parallel.png": "Choices side by side",
    "losses.png": "Loss on dev, look by look",
}


@dataclass(frozen=True, slots=True)
class Report:
    """All trials, and the final of the best."""

    trials: tuple[Trial, ...]
    final: Final

    def as_dict(self) -> dict[str, Any]:
        """Return the report as values that JSON can hold."""
        return {
            "trials": [trial.as_dict() for trial in self.trials],
            "final": self.final.as_dict(),
        }

    def table(self) -> Group:
        """Return the report for a terminal."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        trials = Table(*_trial_head(self.trials), title="Trials", title_justify="left")
        for row in _trial_rows(self.trials):
            trials.add_row(*map(Text, row))

        final = Table(*_final_head(self.final), title="Final", title_justify="left")
        for row in _final_rows(self.final):
            final.add_row(*map(Text, row))
        return Group(trials, final, *(Text(line) for line in self.final.sentences()))

    def write(self, folder: Path, study: optuna.Study) -> None:
        """Write `search.json`, `search.html` and the plots into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        drawn = plots(study, self.trials)
        for name, content in drawn.items():
            durable.write(folder / name, content)

        text = json.dumps(self.as_dict(), indent=2, ensure_ascii=False)
        durable.write_all(folder, {"search.json": f"{text}\n", "search.html": self.page(drawn)})

    def page(self, drawn: Mapping[str, bytes]) -> str:
        """Return the page, with the plots in it."""
        body = [
            "<h1>Search</h1>",
            *(f"<p>{escape(line)}</p>" for line in self.final.sentences()),
            "<h2>Final</h2>",
            _html(_final_head(self.final), _final_rows(self.final)),
            *(_picture(name, drawn[name]) for name in _PLOTS if name in drawn),
            "<h2>Trials</h2>",
            _html(_trial_head(self.trials), _trial_rows(self.trials)),
        ]
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>Search</title><style>{_STYLE}</style></head>\n<body>\n"
            + "\n".join(body)
            + "\n</body></html>\n"
        )


def _trial_head(trials: tuple[Trial, ...]) -> tuple[str, ...]:
    return ("trial", *_settings(trials), "loss on dev", "looks", "")


def _trial_rows(trials: tuple[Trial, ...]) -> Iterable[tuple[str, ...]]:
    """Yield the trials from the best to the worst, whole ones before pruned ones."""
    names = _settings(trials)
    whole_first = {"complete": 0, "pruned": 1}

    def place(trial: Trial) -> tuple[int, float, int]:
        loss = float("inf") if trial.loss is None else trial.loss
        return whole_first.get(trial.state, 2), loss, trial.number

    for trial in sorted(trials, key=place):
        choice = [_text(trial.choice.get(name, "")) for name in names]
        loss = "-" if trial.loss is None else f"{trial.loss:.4f}"
        yield str(trial.number), *choice, loss, str(trial.looks), trial.problem or trial.state


def _final_head(final: Final) -> tuple[str, ...]:
    return ("", "loss on dev", "over seeds ±", final.verdict.heading, "", "loss on test", "95 %")


def _final_rows(final: Final) -> Iterable[tuple[str, ...]]:
    for one in final.ranked:
        low, high = final.test_interval(one)
        yield (
            one.name,
            f"{one.dev_loss:.4f}",
            f"{one.spread:.4f}",
            final.verdict.shown(one, final.winner),
            "best" if one is final.winner else "noise" * final.is_noise(one),
            f"{one.test.value:.4f}",
            f"{low:.4f} to {high:.4f}",
        )


def _settings(trials: tuple[Trial, ...]) -> list[str]:
    return list(dict.fromkeys(name for trial in trials for name in trial.choice))


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _html(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    lines = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f'<div class="wide"><table><tr>{titles}</tr>{lines}</table></div>'


def _picture(name: str, content: bytes) -> str:
    data = base64.b64encode(content).decode()
    title = escape(_PLOTS[name])
    return f'<p><img alt="{title}" src="data:image/png;base64,{data}"></p>'
