"""A training of the final is measured on dev and on test, and its adapter stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.search.parts import parts_of
from lorabay.search.training_final import TrainingFinals
from lorabay.training.recipe import read_recipe


def test_test_is_measured_answer_by_answer(
    adapter_dir: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """Two answers, of as many nats as an adapter that has learnt them leaves."""
    recipe = read_recipe(adapter_dir)
    parts = parts_of(adapter_dir, recipe, 0.25, tmp_path / "data")
    run = TrainingFinals(tiny_base, parts)(recipe, tmp_path / "final")
    assert run.seed == 3
    assert len(run.test_nats) == len(run.test_tokens) == 2
    assert sum(run.test_nats) / sum(run.test_tokens) == pytest.approx(run.dev_loss, abs=0.5)
    assert (tmp_path / "final" / "adapter_model.safetensors").exists()
