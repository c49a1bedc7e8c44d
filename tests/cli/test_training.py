"""`lorabay train`: what it refuses before a model is trained."""

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
