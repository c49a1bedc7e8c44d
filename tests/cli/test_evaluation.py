"""`lorabay evaluate` as a command: its output, its page, and what it refuses before a model is
asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lorabay.cli import run
from lorabay.training.train import train_folder


def test_a_base_without_a_tokenizer_is_1(
    base: Path, tmp_path: Path, the_error: Callable[[], str]
) -> None:
    """One line, though transformers has more to say."""
    assert run(["evaluate", str(tmp_path), "--base", str(base)]) == 1
    assert the_error().startswith(f"{base} is not the folder of a base model: ")


def test_a_page_that_is_there_is_not_overwritten(
    base: Path, tmp_path: Path, the_error: Callable[[], str]
) -> None:
    """Said before anything is measured."""
    page = tmp_path / "page.html"
    page.write_text("mine")
    assert run(["evaluate", str(tmp_path), "--base", str(base), "--html", str(page)]) == 1
    assert "is there already" in the_error()
    assert page.read_text() == "mine"


def test_the_figures_are_json_and_a_page(
    adapter_dir: Path, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both of the same evaluation."""
    train_folder(adapter_dir, tiny_base)
    flags = ["--limit", "1", "--max-tokens", "4", "--no-general", "--json"]
    page = tmp_path / "page.html"
    code = run(
        ["evaluate", str(adapter_dir), "--base", str(tiny_base), *flags, "--html", str(page)]
    )
    assert code == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert [score["model"] for score in scores] == ["base", "colours"]
    assert "Colour of sea?" in page.read_text(encoding="utf-8")
