"""The curves of a training: losses over steps, as a picture and as a page.

The page needs nothing but itself. The picture needs matplotlib; without it there is none, and the
page has the figures.
"""

from __future__ import annotations

import base64
import html
import io
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lorabay.files import durable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PICTURE, PAGE = "loss.png", "loss.html"
_SHOWN = 40
"""Steps in the page's table."""
_SMOOTH = 0.9

_HTML = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto }}
img {{ max-width: 100% }} td, th {{ text-align: right; padding: .1rem 1rem }}
</style>
<h1>{title}</h1>
{picture}
<table><tr><th>step</th><th>epoch</th><th>loss</th><th>learning rate</th></tr>
{rows}
</table>
</html>
"""


def write_curves(folder: Path, title: str, metrics: Sequence[Mapping[str, Any]]) -> None:
    """Write picture and page of a training's metrics into a folder."""
    learnt = [line for line in metrics if line["kind"] == "step"]
    looks = [line for line in metrics if line["kind"] == "dev"]
    if not learnt:
        return

    picture = draw(title, learnt, looks) if find_spec("matplotlib") else None
    if picture:
        durable.write(folder / PICTURE, picture, lasting=False)
    durable.write(folder / PAGE, _page(title, learnt, picture), lasting=False)


def draw(
    title: str, learnt: Sequence[Mapping[str, Any]], looks: Sequence[Mapping[str, Any]]
) -> bytes:
    """Return a PNG of the losses: each step's, their running mean, and those on dev."""
    from matplotlib.figure import Figure

    steps = [line["step"] for line in learnt]
    losses = [line["loss"] for line in learnt]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, losses, color="#9bb8d3", linewidth=1, label="step")
    axes.plot(steps, running_mean(losses), color="#1f5f99", linewidth=2, label="running mean")
    if looks:
        axes.plot(
            [line["step"] for line in looks],
            [line["loss"] for line in looks],
            color="#c2571a",
            marker="o",
            label="dev",
        )
    axes.set(xlabel="step", ylabel="loss, nats a token", title=title)
    axes.grid(alpha=0.3)
    axes.legend()

    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110, metadata={"Software": None})
    return picture.getvalue()


def running_mean(losses: Sequence[float]) -> list[float]:
    """Return the exponential mean of all losses up to each, without a pull towards zero."""
    means, total, weight = [], 0.0, 0.0
    for loss in losses:
        total, weight = _SMOOTH * total + loss, _SMOOTH * weight + 1
        means.append(total / weight)
    return means


def _page(title: str, learnt: Sequence[Mapping[str, Any]], picture: bytes | None) -> str:
    every = max(1, len(learnt) // _SHOWN)
    shown = [*learnt[:-1:every], learnt[-1]]
    rows = "\n".join(
        f"<tr><td>{line['step']}</td><td>{line['epoch']}</td><td>{line['loss']:.4f}</td>"
        f"<td>{line['learning_rate']:.2e}</td></tr>"
        for line in shown
    )
    image = ""
    if picture:
        data = base64.b64encode(picture).decode()
        image = f'<img alt="loss over steps" src="data:image/png;base64,{data}">'
    return _HTML.format(title=html.escape(title), picture=image, rows=rows)
