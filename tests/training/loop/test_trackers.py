"""Whoever follows a training is told of every step and look, and may end it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lorabay.training.loop.trackers import Learnt, Looked
from lorabay.training.recipe import read_recipe
from lorabay.training.train import train


@dataclass
class Follower:
    """Notes what it is told, and ends a training at a look."""

    end_at: int | None = None
    starts: list[int] = field(default_factory=list)
    steps: list[Learnt] = field(default_factory=list)
    looks: list[Looked] = field(default_factory=list)

    def began(self, step: int) -> None:
        self.starts.append(step)

    def learnt(self, step: Learnt) -> None:
        self.steps.append(step)

    def looked(self, look: Looked) -> str | None:
        self.looks.append(look)
        return "pruned by a search" if look.step == self.end_at else None


def _with_dev(adapter_dir: Path) -> None:
    recipe = adapter_dir / "recipe.toml"
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(
        f'{text}evaluate_every = 4\n[data]\ndev = "data/heldout.jsonl"\n', encoding="utf-8"
    )


def test_every_step_and_look_is_told(adapter_dir: Path, tiny_base: Path, tmp_path: Path) -> None:
    """With its loss, its rate and its tokens."""
    _with_dev(adapter_dir)
    follower = Follower()
    result = train(
        read_recipe(adapter_dir),
        tmp_path / "out",
        base=tiny_base,
        data=adapter_dir,
        trackers=[follower],
    )
    assert follower.starts == [0]
    assert [step.step for step in follower.steps] == list(range(1, 21))
    assert [look.step for look in follower.looks] == [4, 8, 12, 16, 20]
    assert follower.steps[0].learning_rate == pytest.approx(0.02)
    assert follower.steps[-1].loss < follower.steps[0].loss
    assert sum(step.tokens for step in follower.steps) == 10 * result.tokens
    assert min(look.loss for look in follower.looks) == result.dev_loss


def test_a_tracker_may_end_it(adapter_dir: Path, tiny_base: Path, tmp_path: Path) -> None:
    """The result says why, and has the best weights so far."""
    _with_dev(adapter_dir)
    result = train(
        read_recipe(adapter_dir),
        tmp_path / "out",
        base=tiny_base,
        data=adapter_dir,
        trackers=[Follower(end_at=8)],
    )
    assert (result.steps, result.planned, result.reason) == (8, 20, "pruned by a search")
    assert not result.diverged
    assert (tmp_path / "out" / "adapter_config.json").is_file()
