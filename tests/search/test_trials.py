"""Trials: the same table each time, also over kills; pruned ones, and failures."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.search.trials import Study, Trial
from tests.search.made import MadeTrainer, loss_of, made_space, refuse


def _study(folder: Path, **search: object) -> Study:
    folder.mkdir(exist_ok=True)
    return Study(folder, made_space(**search))


def _table(study: Study, trainer: MadeTrainer | None = None) -> list[Trial]:
    study.revive()
    study.run(trainer or MadeTrainer())
    return study.trials()


def test_all_trials_are_run_and_bad_ones_are_pruned(tmp_path: Path) -> None:
    """In order, with a loss each; pruned ones had fewer looks."""
    told: list[int] = []
    study = _study(tmp_path)
    study.run(MadeTrainer(), lambda trial: told.append(trial.number))
    trials = study.trials()
    assert [trial.number for trial in trials] == told == list(range(12))
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert 2 <= len(pruned) <= 10
    assert all(trial.looks < 8 for trial in pruned)
    assert all(trial.looks == 8 for trial in trials if trial.state == "complete")


def test_two_searches_give_the_same_table(tmp_path: Path) -> None:
    """Another seed gives another."""
    first, second = (_table(_study(tmp_path / name)) for name in ("a", "b"))
    assert first == second
    assert _table(_study(tmp_path / "c", seed=1)) != first


@pytest.mark.parametrize("dies_in", [("000", 5), ("003", 1), ("010", 1)])
def test_a_killed_search_goes_on_to_the_same_table(
    tmp_path: Path, dies_in: tuple[str, int]
) -> None:
    """Between two looks of a trial, which keeps its number and its choice."""
    whole = _table(_study(tmp_path / "whole"))
    study = _study(tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        study.run(MadeTrainer(dies_in=dies_in))

    again = MadeTrainer()
    assert _table(_study(tmp_path / "killed"), again) == whole
    assert again.asked[0] == dies_in[0]


def test_a_search_that_is_done_trains_nothing(tmp_path: Path) -> None:
    """It has its table."""
    done = _table(_study(tmp_path))
    idle = MadeTrainer()
    assert _table(_study(tmp_path), idle) == done
    assert idle.asked == []


def test_the_best_are_whole_and_different(tmp_path: Path) -> None:
    """By their loss; a choice that came twice counts once."""
    study = _study(tmp_path, rank=[], alpha_per_rank=[], learning_rate=None, dropout=[0.0, 0.1])
    study.run(MadeTrainer())
    best = study.best(10)
    assert 1 <= len(best) <= 4
    assert len({repr(trial.choice) for trial in best}) == len(best)

    wide = _study(tmp_path / "wide")
    wide.run(MadeTrainer())
    losses = [trial.loss for trial in wide.best(3)]
    assert losses == sorted(losses)
    assert losses[0] == pytest.approx(loss_of(wide.space.recipe_for(wide.best(1)[0].choice)))


def test_a_failure_is_a_trial_with_its_problem(tmp_path: Path) -> None:
    """The others go on; nothing is best."""
    study = _study(tmp_path)
    study.run(refuse)
    trials = study.trials()
    assert {trial.state for trial in trials} == {"failed"}
    assert all("no module of the base" in trial.problem for trial in trials)
    assert trials[0].as_dict()["loss"] is None
    assert study.best(3) == []
