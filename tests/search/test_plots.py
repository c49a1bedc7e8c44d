"""Plots of a search are PNGs, of what there is to see."""

from __future__ import annotations

from pathlib import Path

from lorabay.search.plots import plots
from lorabay.search.trials import Study
from tests.search.made import MadeTrainer, made_space


def test_a_search_has_four_plots(tmp_path: Path) -> None:
    """What matters, rank and loss, choices side by side, loss by look."""
    study = Study(tmp_path, made_space())
    study.run(MadeTrainer())
    drawn = plots(study.load(), study.trials())
    assert set(drawn) == {"importance.png", "parallel.png", "losses.png", "rank.png"}
    assert all(content.startswith(b"\x89PNG") for content in drawn.values())


def test_too_few_trials_have_none(tmp_path: Path) -> None:
    """Nothing can be seen of two."""
    study = Study(tmp_path, made_space(trials=2))
    study.run(MadeTrainer())
    assert plots(study.load(), study.trials()) == {}
