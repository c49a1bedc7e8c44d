"""Several workers share the trials of one search."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.search.trials import Study, Trial
from lorabay.search.workers import run_workers
from tests.search.made import MadeTrainer, made_space


@pytest.mark.parametrize("count", [1, 2])
def test_each_trial_is_run_once(tmp_path: Path, count: int) -> None:
    """Whoever runs it; all are told."""
    study = Study(tmp_path, made_space(trials=5))
    told: list[Trial] = []
    run_workers(study, MadeTrainer(), count, told.append)
    assert sorted(trial.number for trial in told) == list(range(5))
    assert [trial.number for trial in study.trials()] == list(range(5))
