"""The metrics of a training as JSON lines: one for each step and each look at dev.

A training that goes on from a checkpoint writes the lines behind it anew, so that each step stands
there once.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lorabay.files import durable
from lorabay.training.writing import writing

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.training.loop.trackers import Learnt, Looked


class MetricLines:
    """A tracker that writes what it is told into a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def began(self, step: int) -> None:
        """Keep the lines up to a step, and no others."""
        with writing(self._path):
            kept = [line for line in read_metrics(self._path) if line["step"] <= step]
            text = "".join(json.dumps(line) + "\n" for line in kept)
            durable.write(self._path, text, lasting=False)

    def learnt(self, step: Learnt) -> None:
        """Write the line of a step."""
        self._add({"kind": "step", **asdict(step)})

    def looked(self, look: Looked) -> str | None:
        """Write the line of a look at dev."""
        self._add({"kind": "dev", **asdict(look)})
        return None

    def _add(self, line: dict[str, Any]) -> None:
        with writing(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file, none if there is no file; a torn last line is left out."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        try:
            lines.append(json.loads(line))
        except (ValueError, RecursionError):
            continue
    return lines
