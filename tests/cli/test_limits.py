"""`lorabay limits`, on a file of SQLite."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorabay.cli import run

pytestmark = pytest.mark.usefixtures("no_settings_in_environment")

Limits = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def limits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Limits:
    """A function that runs `lorabay limits` over one store, and returns what it prints."""

    def done(*arguments: str) -> list[dict[str, Any]]:
        assert run(["limits", *arguments, "--store", str(tmp_path), "--json"]) == 0
        rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
        return rows

    return done


def test_limits_are_shown_as_they_were_set(limits: Limits) -> None:
    """Those that are not named any more are gone, and so is what has none left."""
    limits("set", "--tenant", "acme", "--tokens-per-day", "5000", "--parallel", "2")
    limits("set", "--adapter", "finance", "--requests-per-minute", "60")
    rows = limits("set", "--key", "ab12cd34", "--adapter", "finance", "--parallel", "1")
    assert [(row["kind"], row["name"]) for row in rows] == [
        ("adapter", "finance"),
        ("key_on_adapter", "ab12cd34/finance"),
        ("tenant", "acme"),
    ]
    assert limits("show") == rows
    rows = limits("set", "--tenant", "acme", "--parallel", "3")
    assert (rows[-1]["parallel"], rows[-1]["tokens_per_day"]) == (3, None)
    assert len(limits("set", "--tenant", "acme")) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        ["--parallel", "1"],
        ["--tenant", "a", "--adapter", "b"],
        ["--key", "a"],
        ["--key", "reports", "--adapter", "b", "--parallel", "1"],
        ["--tenant", "a\nb"],
        ["--adapter", "a/b"],
        ["--tenant", "a", "--parallel", str(10**16)],
    ],
)
def test_what_names_no_one_thing_is_a_usage_error(tmp_path: Path, wrong: list[str]) -> None:
    """Before the database is touched."""
    assert run(["limits", "set", *wrong, "--store", str(tmp_path)]) == 2
    assert list(tmp_path.iterdir()) == []


def test_people_see_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Or that there is nothing to see."""
    assert run(["limits", "show", "--store", str(tmp_path)]) == 0
    assert "no limits are set" in capsys.readouterr().out
    assert (
        run(["limits", "set", "--tenant", "acme", "--parallel", "7", "--store", str(tmp_path)]) == 0
    )
    assert "acme" in capsys.readouterr().out
