"""`lorabay train`: what it refuses before a model is trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lorabay.cli import run


def test_a_folder_without_a_recipe_is_1(
    base: Path, tmp_path: Path, the_error: Callable[[], str]
) -> None:
    """The line names the folder that is not there."""
    assert run(["train", str(tmp_path / "nowhere"), "--base", str(base)]) == 1
    assert str(tmp_path / "nowhere") in the_error()


def test_train_says_what_came_out(
    tiny_base: Path, adapter_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Figures, and whether a server would take it; as JSON for programs."""
    command = ["train", str(adapter_dir), "--base", str(tiny_base), "-o", str(tmp_path / "out")]
    assert run(command) == 0
    text = capsys.readouterr().out
    assert "held-out perplexity" in text
    assert "servable: lora, rank 4" in text

    assert run([*command, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["verdict"] == "servable: lora, rank 4"
    assert result["steps"] == 20


def test_a_whole_model_needs_a_folder_of_its_own(
    tiny_base: Path, adapter_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without `--output` that is wrong usage; with it the line says how to serve it."""
    with (adapter_dir / "recipe.toml").open("a", encoding="utf-8") as file:
        file.write('[variant]\nname = "full"\n')
    command = ["train", str(adapter_dir), "--base", str(tiny_base)]
    assert run(command) == 2
    assert run([*command, "--output", str(tmp_path / "model")]) == 0
    assert f"lorabay serve --base {tmp_path / 'model'}" in capsys.readouterr().out
