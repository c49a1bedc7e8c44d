"""A training that is killed, stopped or lost ends where it should, never with half a result."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.training.loop.trackers import Learnt, Looked
from lorabay.training.recipe import Recipe, read_recipe, recipe_of
from lorabay.training.train import train
from lorabay.training.trained import Trained
from tests.failing_disk import files_limited_to

ROOT = Path(__file__).parents[3]
WEIGHTS = "adapter_model.safetensors"


class Killed(Exception):
    """Stands for a kill."""


@dataclass
class Killer:
    """Ends a training, as a kill would, after a step."""

    after: int

    def began(self, step: int) -> None:
        self.began_at = step

    def learnt(self, step: Learnt) -> None:
        if step.step == self.after:
            raise Killed

    def looked(self, look: Looked) -> str | None:
        return None


def _recipe(adapter_dir: Path, **training: object) -> Recipe:
    tables = read_recipe(adapter_dir).model_dump()
    settings = {"checkpoint_every": 3, **training}
    dev = settings.pop("dev", None)
    tables["training"] |= settings
    tables["data"]["dev"] = dev
    tables["variant"] = settings.pop("variant", tables["variant"])
    tables["training"].pop("variant", None)
    return recipe_of(tables, "here")


def _train(recipe: Recipe, adapter_dir: Path, base: Path, out: Path, **more: object) -> Trained:
    return train(recipe, out, base=base, data=adapter_dir, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("variant", ["lora", "adalora", "pissa", "full"])
def test_a_killed_training_goes_on_to_the_same_bytes(
    adapter_dir: Path, tiny_base: Path, tmp_path: Path, variant: str
) -> None:
    """Dropout, the optimiser, the best weights on dev and the order of the examples included."""
    recipe = _recipe(
        adapter_dir, variant={"name": variant}, dev="data/heldout.jsonl", weight_decay=0.1
    )
    if recipe.lora:
        lora = recipe.lora.model_copy(update={"dropout": 0.1})
        recipe = recipe.model_copy(update={"lora": lora})
    _train(recipe, adapter_dir, tiny_base, tmp_path / "whole")

    out = tmp_path / "killed"
    for after in (2, 7, 14):
        with pytest.raises(Killed):
            _train(recipe, adapter_dir, tiny_base, out, trackers=[Killer(after)])
        assert not list(out.glob("*.safetensors"))
    result = _train(recipe, adapter_dir, tiny_base, out)
    assert result.resumed == 12
    assert [path.read_bytes() for path in out.glob("*.safetensors")] == [
        path.read_bytes() for path in (tmp_path / "whole").glob("*.safetensors")
    ]
    assert not list((out / "training").glob("checkpoint*"))


def test_real_kills_at_random_moments(
    adapter_dir: Path, tiny_base: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """SIGKILL, also while a checkpoint is written: the bytes are those of an unbroken run."""
    recipe = adapter_dir / "recipe.toml"
    text = recipe.read_text(encoding="utf-8").replace("epochs = 10", "epochs = 12")
    recipe.write_text(f"{text}checkpoint_every = 2\n", encoding="utf-8")

    kills = pytestconfig.getoption("--training-kills")
    module = "tests.training.loop.killed"
    folders = [str(adapter_dir), str(tiny_base), str(tmp_path / "killed")]
    ended = subprocess.run(
        [sys.executable, "-m", module, *folders, str(kills), "7"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(ended.stdout) > 0
    killed, unbroken = tmp_path / "killed" / WEIGHTS, tmp_path / "unbroken" / WEIGHTS
    assert killed.read_bytes() == unbroken.read_bytes()


def test_restart_drops_a_checkpoint(adapter_dir: Path, tiny_base: Path, tmp_path: Path) -> None:
    """Without it, a checkpoint of another recipe is an error."""
    with pytest.raises(Killed):
        _train(_recipe(adapter_dir), adapter_dir, tiny_base, tmp_path, trackers=[Killer(5)])
    other = _recipe(adapter_dir, learning_rate=0.01)
    with pytest.raises(SetupError, match="other recipe: --restart"):
        _train(other, adapter_dir, tiny_base, tmp_path)
    assert _train(other, adapter_dir, tiny_base, tmp_path, restart=True).resumed == 0


def test_a_divergence_ends_with_the_weights_of_the_checkpoint(
    adapter_dir: Path, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result has them, and says why and when."""
    rates = {step: 1.0 if step < 10 else float("nan") for step in range(20)}
    monkeypatch.setattr(
        "lorabay.training.loop.fit.share_of_peak", lambda step, steps, settings: rates[step]
    )
    result = _train(_recipe(adapter_dir), adapter_dir, tiny_base, tmp_path)
    assert result.diverged
    assert (result.steps, result.kept) == (11, 9)
    assert result.reason == "the loss is nan in step 12: the training diverged"
    assert result.loss_after < 0.8 * result.loss_before
    assert (tmp_path / WEIGHTS).is_file()


def test_early_stop_keeps_the_best_on_dev(
    adapter_dir: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """A rate that is too high makes it worse after a while."""
    recipe = _recipe(
        adapter_dir,
        learning_rate=0.3,
        epochs=60,
        evaluate_every=2,
        patience=3,
        dev="data/heldout.jsonl",
    )
    result = _train(recipe, adapter_dir, tiny_base, tmp_path)
    assert result.steps < result.planned
    assert result.kept < result.steps
    assert result.reason or result.diverged
    assert result.dev_loss == pytest.approx(result.loss_after, rel=1e-4)


def test_a_full_disk_ends_it_in_one_line(
    adapter_dir: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """The same command goes on from the last checkpoint when there is room."""
    recipe = _recipe(adapter_dir)
    with pytest.raises(Killed):
        _train(recipe, adapter_dir, tiny_base, tmp_path, trackers=[Killer(5)])
    with (
        files_limited_to(10_000),
        pytest.raises(SetupError, match=r"checkpoint\.pt cannot be written.*is still there"),
    ):
        _train(recipe, adapter_dir, tiny_base, tmp_path)
    assert _train(recipe, adapter_dir, tiny_base, tmp_path).resumed == 3
