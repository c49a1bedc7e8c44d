"""`lorabay train` and `lorabay evaluate`: what they refuse before a model is trained or asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lorabay.cli import run


def test_a_folder_without_a_recipe_is_1(
    base: Path, tmp_path: Path, the_error: Callable[[], str]
) -> None:
    """The line names the folder that is not there."""
    assert run(["train", str(tmp_path / "nowhere"), "--base", str(base)]) == 1
    assert str(tmp_path / "nowhere") in the_error()


def test_a_base_without_a_tokenizer_is_1(
    base: Path, tmp_path: Path, the_error: Callable[[], str]
) -> None:
    """One line, though transformers has more to say."""
    assert run(["evaluate", str(tmp_path), "--base", str(base)]) == 1
    assert the_error().startswith(f"{base} is not the folder of a base model: ")
