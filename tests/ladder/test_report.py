"""A climb on a terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from lorabay.ladder.climb import Climb, Outcome, Step
from lorabay.ladder.report import table


def test_each_rung_has_its_figures_and_its_cost(tmp_path: Path) -> None:
    """And the last line says where the weights are."""
    low = Outcome({"loss": 2.0, "rouge_l": 20.0}, 60.0, 1000, 2_000_000)
    high = Outcome({"loss": 1.0, "rouge_l": 40.0}, 150.0, 4000, 8_000_000)
    found = Climb(
        "loss<=1.5",
        (
            Step("recipe", Path("out/recipe"), low, ("loss<=1.5",)),
            Step("rank", Path("out/rank"), high, ()),
        ),
    )
    console = Console(width=120, record=True)
    console.print(table(found))
    text = console.export_text()
    for shown in ("rouge_l", "missed", "holds", "4,000", "8.0", "2.5", "out/rank"):
        assert shown in text
