"""Rungs for real, on a tiny base."""

from __future__ import annotations

from pathlib import Path

from lorabay.base.shapes import BaseShapes
from lorabay.ladder.rungs import rungs_of
from lorabay.ladder.training_rung import TrainingRung
from lorabay.training.recipe import read_recipe

UNTRAINED = 5.0
"""Nats a token, below what the tiny base has."""


def test_an_adapter_and_a_whole_model_are_measured(
    adapter_dir: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """Both learn, what learnt is counted, and figures of answers are taken where asked for."""
    rungs = rungs_of(read_recipe(adapter_dir), BaseShapes.read(tiny_base))
    low, high = rungs[0], rungs[-1]

    adapter = TrainingRung(tiny_base, adapter_dir, 1, 4)(low.recipe, tmp_path / low.name)
    whole = TrainingRung(tiny_base, adapter_dir, 0, 4)(high.recipe, tmp_path / high.name)

    assert {"loss", "perplexity", "rouge_l", "bleu", "chrf"} <= adapter.figures.keys()
    assert whole.figures.keys() == {"loss", "perplexity"}
    for outcome in (adapter, whole):
        assert 0 < outcome.figures["loss"] < UNTRAINED
    assert whole.learning > adapter.learning > 0
    assert (tmp_path / low.name / "adapter_model.safetensors").is_file()
    assert (tmp_path / high.name / "config.json").is_file()
