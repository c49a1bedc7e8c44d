"""Rungs for real, on a tiny base."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.errors import SetupError
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

    answering = TrainingRung(tiny_base, adapter_dir, 1, 4)
    adapter = answering(low.recipe, tmp_path / low.name)
    whole = TrainingRung(tiny_base, adapter_dir, 0, 4)(high.recipe, tmp_path / high.name)

    assert {"loss", "perplexity", "rouge_l", "bleu", "chrf"} <= adapter.figures.keys()
    assert answering.measure(low.recipe, tmp_path / low.name) == adapter.figures
    assert whole.figures.keys() == {"loss", "perplexity"}
    for outcome in (adapter, whole):
        assert 0 < outcome.figures["loss"] < UNTRAINED
    assert whole.learning > adapter.learning > 0
    assert (tmp_path / low.name / "adapter_model.safetensors").is_file()
    assert (tmp_path / high.name / "config.json").is_file()


def test_another_base_data_or_recipe_is_another_origin(
    adapter_dir: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """And data that are not there are one line."""
    recipe = read_recipe(adapter_dir)
    first = TrainingRung(tiny_base, adapter_dir, 1, 4).origin(recipe)
    assert first == TrainingRung(tiny_base, adapter_dir, None, 8).origin(recipe)

    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-3}))
    assert _differing(first, TrainingRung(base, adapter_dir, 1, 4).origin(recipe)) == ["base"]

    data = adapter_dir / recipe.data.heldout
    data.write_text(data.read_text() + "\n")
    assert _differing(first, TrainingRung(tiny_base, adapter_dir, 1, 4).origin(recipe)) == ["data"]
    data.unlink()
    with pytest.raises(SetupError, match="cannot read"):
        TrainingRung(tiny_base, adapter_dir, 1, 4).origin(recipe)


def _differing(one: dict[str, str], other: dict[str, str]) -> list[str]:
    return [name for name in one if one[name] != other[name]]
