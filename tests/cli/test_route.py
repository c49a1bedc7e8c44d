"""`lorabay route` as commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lorabay.cli import run
from tests.routing.conftest import QUESTIONS


@pytest.fixture
def questions(tmp_path: Path) -> list[str]:
    """Arguments that name a file for each domain."""
    arguments = []
    for name in ("shop", "bank", "base"):
        file = tmp_path / f"{name}.txt"
        file.write_text("\n".join(QUESTIONS[name]), encoding="utf-8")
        arguments.append(f"{name}={file}")
    return arguments


def test_a_router_is_trained_and_checked(
    questions: list[str], tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From files of questions to a table, and to JSON."""
    *adapters, general = questions
    base = ["--base", str(tiny_base)]
    folder = str(tmp_path / "router")
    extra = ["--general", general.partition("=")[2]]
    assert run(["route", "train", *adapters, "-o", folder, *extra, *base]) == 0
    assert "4 of shop" in capsys.readouterr().out

    assert run(["route", "check", folder, *questions, "--wrong", *base]) == 0
    assert "question of" in capsys.readouterr().out
    assert run(["route", "check", folder, *questions, "--json", *base]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["adapters_right"] == 1
    assert found["chosen"]["shop"]["shop"] == 4


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["train", "shop", "-o", "r"], 2, "NAME=PATH"),
        (["train", "shop=nowhere.txt", "-o", "r"], 1, "nowhere.txt"),
        (["check", "nowhere", "shop=nowhere.txt"], 1, "nowhere"),
    ],
)
def test_a_failure_is_one_line(
    arguments: list[str],
    code: int,
    problem: str,
    tiny_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    the_error: Callable[[], str],
) -> None:
    """It says what is wrong, and leaves nothing."""
    monkeypatch.chdir(tmp_path)
    assert run(["route", *arguments, "--base", str(tiny_base)]) == code
    assert problem in the_error()
    assert not (tmp_path / "r").exists()
