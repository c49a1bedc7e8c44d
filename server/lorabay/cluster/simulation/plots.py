"""Plots of simulations as PNG: loads and balance, trace by trace, and what a conversation waits."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from lorabay.cluster.simulation.simulator import Outcome

COLOURS = ("#c9ced6", "#9aa5b4", "#6d7b8d", "#d98b3a", "#2f6fb2")
"""One for each way to choose; ours stands out."""

Outcomes = Mapping[str, Mapping[str, "Outcome"]]
"""What traces came to, by the trace's name, then by the way to choose."""


def check_libraries() -> None:
    """Raise SetupError if plots cannot be drawn here; imports nothing."""
    if find_spec("matplotlib") is None:
        raise SetupError(
            "plots need matplotlib: pip install 'lorabay[forge]', or leave --output out"
        )


def plots(outcomes: Outcomes, least: Mapping[str, float]) -> dict[str, bytes]:
    """Return PNGs by the names of their files; `least` are the loads of one pool."""
    even = dict.fromkeys(outcomes, 1.25)
    return {
        "loads.png": _bars(
            outcomes, "Loads of adapters by request", lambda one: one.loads_per_request, least
        ),
        "balance.png": _bars(
            outcomes, "Work of the busiest replica by the mean", lambda one: one.imbalance, even
        ),
        "waits.png": _waits(outcomes),
    }


def _bars(
    outcomes: Outcomes,
    title: str,
    figure_of: Callable[[Outcome], float],
    lines: Mapping[str, float],
) -> bytes:
    """Return groups of bars, a group for each trace, each with a line at its bound or bar."""
    figure, axes = _axes(title)
    traces = list(outcomes)
    policies = list(next(iter(outcomes.values())))
    wide = 0.8 / len(policies)

    for number, policy in enumerate(policies):
        places = np.arange(len(traces)) + (number - (len(policies) - 1) / 2) * wide
        heights = [figure_of(outcomes[trace][policy]) for trace in traces]
        axes.bar(places, heights, wide * 0.92, color=COLOURS[number % 5], label=policy)

    heights = [lines[trace] for trace in traces]
    starts = np.arange(len(traces)) - 0.46
    axes.hlines(heights, starts, starts + 0.92, color="#333333", linestyles="--", label="bound")
    axes.set_xticks(range(len(traces)), traces)
    axes.legend(frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.08))
    return _png(figure)


def _waits(outcomes: Outcomes) -> bytes:
    """Return the part of the requests that wait longer than a time, all traces together."""
    figure, axes = _axes("Requests that wait longer for their first step")
    for number, policy in enumerate(next(iter(outcomes.values()))):
        waits = np.sort(np.concatenate([own[policy].waits_s for own in outcomes.values()]))
        part = 1 - np.arange(len(waits)) / len(waits)
        shown = np.unique(np.geomspace(1, len(waits), 400).astype(int) - 1)
        shown = len(waits) - 1 - shown[::-1]
        seconds = np.maximum(waits[shown], 1e-3)
        axes.plot(seconds, 100 * part[shown], color=COLOURS[number % 5], label=policy, linewidth=2)

    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("s")
    axes.set_ylabel("% of all requests")
    axes.legend(frameon=False)
    return _png(figure)


def _axes(title: str) -> tuple[Any, Any]:
    """Return a figure without a window, and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2))
    axes = figure.subplots()
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    # Without the version of the library in it, the same outcomes give the same bytes.
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()
