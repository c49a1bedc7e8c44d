"""How a router does on questions whose class is known: who was chosen for whom, and how fast."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from lorabay.routing.choice import BASE_CLASS, choose

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lorabay.routing.prompts import Prompt
    from lorabay.routing.router import Router


@dataclass(frozen=True, slots=True)
class Confusion:
    """`counts` maps (class, chosen) to questions; `wrong` are the questions that went astray, each
    with what was chosen; `median_ms` is the time of one choice."""

    classes: tuple[str, ...]
    counts: Mapping[tuple[str, str], int]
    wrong: tuple[tuple[Prompt, str], ...]
    median_ms: float

    def right(self, name: str) -> float:
        """Return the share of a class's questions that went where they belong; NaN without any."""
        total = sum(self.counts.get((name, chosen), 0) for chosen in self.classes)
        return self.counts.get((name, name), 0) / total if total else float("nan")

    @property
    def adapters_right(self) -> float:
        """The share of all adapters' questions that went to their adapter; NaN without any."""
        asked = {pair: count for pair, count in self.counts.items() if pair[0] != BASE_CLASS}
        total = sum(asked.values())
        right = sum(count for (name, chosen), count in asked.items() if name == chosen)
        return right / total if total else float("nan")

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "adapters_right": self.adapters_right,
            "base_right": self.right(BASE_CLASS),
            "median_ms": self.median_ms,
            "chosen": {
                name: {chosen: self.counts.get((name, chosen), 0) for chosen in self.classes}
                for name in self.classes
            },
            "wrong": [
                {"question": prompt.text, "adapter": prompt.adapter, "chosen": chosen}
                for prompt, chosen in self.wrong
            ],
        }

    def table(self) -> Table:
        """Return it as a table: a row for what a question is, a column for what was chosen."""
        table = Table(caption=f"a choice takes {self.median_ms:.1f} ms (median)")
        table.add_column("question of")
        for name in self.classes:
            table.add_column(name, justify="right")
        table.add_column("right", justify="right")
        for name in self.classes:
            cells = [str(self.counts.get((name, chosen), 0)) for chosen in self.classes]
            table.add_row(name, *cells, f"{self.right(name):.1%}")
        return table


def confusion(router: Router, prompts: Sequence[Prompt]) -> Confusion:
    """Return where a router sends questions of a caller who may use everything."""
    adapters = frozenset(router.about.classes) - {BASE_CLASS}
    counts: dict[tuple[str, str], int] = {}
    wrong: list[tuple[Prompt, str]] = []
    times: list[float] = []

    for prompt in prompts:
        began = time.perf_counter()
        likely = router.likely(prompt.text)
        times.append(time.perf_counter() - began)

        choice = choose(likely, adapters, may_use_base=True, threshold=router.threshold)
        chosen = BASE_CLASS if choice is None or choice.adapter is None else choice.adapter
        counts[prompt.adapter, chosen] = counts.get((prompt.adapter, chosen), 0) + 1
        if chosen != prompt.adapter:
            wrong.append((prompt, chosen))

    named = {prompt.adapter for prompt in prompts} | adapters | {BASE_CLASS}
    median_ms = float(np.median(times)) * 1000 if times else 0.0
    return Confusion(tuple(sorted(named)), counts, tuple(wrong), median_ms)
