"""`lorabay search` as a command: what it refuses before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lorabay.cli import run
from lorabay.search import libraries


def test_a_recipe_without_a_space_is_1(
    adapter_dir: Path, tiny_base: Path, tmp_path: Path, the_error: Callable[[], str]
) -> None:
    """The line says what is missing, and no folder is left."""
    out = tmp_path / "out"
    assert run(["search", str(adapter_dir), "--base", str(tiny_base), "-o", str(out)]) == 1
    assert "has no table [search]" in the_error()
    assert not out.exists()


def test_without_the_extra_the_line_says_what_to_install(
    adapter_dir: Path, monkeypatch: pytest.MonkeyPatch, the_error: Callable[[], str]
) -> None:
    """Before a base is looked for."""
    monkeypatch.setattr(libraries, "LIBRARIES", ("no_such_library",))
    assert run(["search", str(adapter_dir)]) == 1
    assert "make setup EXTRAS=forge" in the_error()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--judge", "anna"], "go with --by judge"),
        (["--early"], "go with --by judge"),
        (["--by", "judge", "--judge", "a", "--judge", "a"], "a name of their own"),
    ],
)
def test_wrong_wishes_of_people_are_2(
    adapter_dir: Path, arguments: list[str], problem: str, the_error: Callable[[], str]
) -> None:
    """Before hours of training, and not after."""
    assert run(["search", str(adapter_dir), *arguments]) == 2
    assert problem in the_error()
