"""Plots of a search as PNG: what matters, which choices were tried, and rank against loss."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

from lorabay.search.trials import quiet_optuna

if TYPE_CHECKING:
    from collections.abc import Sequence

    import optuna

    from lorabay.search.trials import Trial

_FEWEST = 3
"""Whole trials from which on there is something to see."""
_MOST_TICKS = 6
"""Values of an axis that are all written beside it."""
_BLUE, _GREY = "#2f6fb2", "#9aa5b4"


def plots(study: optuna.Study, trials: Sequence[Trial]) -> dict[str, bytes]:
    """Return PNGs by the names of their files; none where too few trials have ended."""
    done = [one for one in trials if one.state == "complete"]
    if len(done) < _FEWEST:
        return {}

    with quiet_optuna():
        drawn = {
            "importance.png": _importance(study),
            "parallel.png": _parallel([one for one in trials if one.loss is not None]),
            "losses.png": _losses(study),
        }
    if any("rank" in one.choice for one in done):
        drawn["rank.png"] = _rank(trials)
    return {name: _png(figure) for name, figure in drawn.items() if figure is not None}


def _importance(study: optuna.Study) -> Any:
    """Return bars of how much of the loss's variance each setting explains, by fANOVA."""
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    try:
        shares = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    except (ValueError, RuntimeError):
        return None

    figure, axes = _axes("How much each setting matters", 0.5 * len(shares) + 1.4)
    names = list(shares)[::-1]
    bars = axes.barh(names, [shares[name] for name in names], color=_BLUE)
    axes.bar_label(bars, fmt="%.2f", padding=4)
    axes.set_xlabel("share of the variance of the loss on dev")
    axes.margins(x=0.12)
    return figure


def _parallel(trials: Sequence[Trial]) -> Any:
    """Return an axis for each setting and one for the loss, and a line for each trial."""
    from matplotlib import colormaps

    names = list(dict.fromkeys(name for trial in trials for name in trial.choice))
    figure, axes = _axes("Choices and their loss on dev", 5, width=2.0 * len(names) + 2)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_yticks([])
    axes.set_xticks(range(len(names) + 1), [*names, "loss on dev"])

    columns = [_Column([trial.choice.get(name) for trial in trials]) for name in names]
    columns.append(_Column([trial.loss for trial in trials]))
    for place, column in enumerate(columns):
        axes.axvline(place, color="#333333", linewidth=0.8)
        for text, height in column.ticks():
            axes.annotate(text, (place, height), (5, 2), textcoords="offset points", fontsize=9)

    whole = [row for row, trial in enumerate(trials) if trial.state == "complete"]
    worst = max(columns[-1].heights[row] or 0.0 for row in whole) or 1.0

    # The best trials are drawn last, over the others.
    in_order = sorted(range(len(trials)), key=lambda row: -(columns[-1].heights[row] or 0.0))
    for row in in_order:
        heights = [column.heights[row] for column in columns]
        is_whole = trials[row].state == "complete" and None not in heights
        colour = colormaps["viridis"]((heights[-1] or 0.0) / worst) if is_whole else _GREY
        axes.plot(heights, color=colour, linewidth=1.8 if is_whole else 0.7)
    return figure


class _Column:
    """The values of one setting, and how high each of them is on its axis: 0 to 1."""

    def __init__(self, values: Sequence[Any]) -> None:
        known = [value for value in values if value is not None]
        self._are_names = any(isinstance(value, str) for value in known)
        self._names = sorted(set(map(str, known)))
        numbers = [] if self._are_names else [float(value) for value in known]
        self._is_wide = bool(numbers) and 0 < 10 * min(numbers) <= max(numbers)
        places = [self._place(value) for value in known]
        self._low, self._high = min(places, default=0.0), max(places, default=1.0)
        self._known = known
        self.heights = [None if value is None else self._height(value) for value in values]

    def ticks(self) -> list[tuple[str, float]]:
        """Return what stands beside the axis, and where: all values, or the ends of many."""
        values = sorted(set(self._known))
        shown = values if len(values) <= _MOST_TICKS or self._are_names else [values[0], values[-1]]
        return [(_short(value), self._height(value)) for value in shown]

    def _height(self, value: Any) -> float:
        if self._high == self._low:
            return 0.5
        return (self._place(value) - self._low) / (self._high - self._low)

    def _place(self, value: Any) -> float:
        if self._are_names:
            return float(self._names.index(str(value)))
        return math.log(value) if self._is_wide else float(value)


def _short(value: Any) -> str:
    """Return a value as it stands beside an axis: `q,v` for `q_proj,v_proj`."""
    return f"{value:.3g}" if isinstance(value, float) else str(value).replace("_proj", "")


def _losses(study: optuna.Study) -> Any:
    from optuna.trial import TrialState

    figure, axes = _axes("Loss on dev, look by look", 4)
    for one in study.trials:
        looks = sorted(one.intermediate_values.items())
        is_whole = one.state == TrialState.COMPLETE
        axes.plot(
            [number for number, _ in looks],
            [loss for _, loss in looks],
            color=_BLUE if is_whole else _GREY,
            marker="o",
            markersize=3,
            linewidth=1.2,
        )
    axes.plot([], [], color=_BLUE, label="whole")
    axes.plot([], [], color=_GREY, label="pruned")
    axes.legend()
    axes.set_xlabel("look")
    axes.set_ylabel("nats a token")
    return figure


def _rank(trials: Sequence[Trial]) -> Any:
    figure, axes = _axes("Rank and loss on dev", 4)
    for state, colour in (("pruned", _GREY), ("complete", _BLUE)):
        some = [one for one in trials if one.state == state and one.loss is not None]
        axes.scatter(
            [one.choice["rank"] for one in some],
            [one.loss for one in some],
            color=colour,
            label={"complete": "whole"}.get(state, state),
        )
    ranks = sorted({one.choice["rank"] for one in trials if "rank" in one.choice})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ranks, [str(rank) for rank in ranks])
    axes.minorticks_off()
    axes.set_xlabel("rank")
    axes.set_ylabel("nats a token")
    axes.legend()
    return figure


def _axes(title: str, height: float, width: float = 7.5) -> tuple[Any, Any]:
    """Return a figure without a window, and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    axes = figure.subplots()
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    # Without the version of the library in it, the same trials give the same bytes.
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()
