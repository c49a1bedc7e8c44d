"""`lorabay keys`: what is printed, where keys are kept, and every wrong command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorabay.accounts.keys.key_form import read_key
from lorabay.cli import run

pytestmark = pytest.mark.usefixtures("no_settings_in_environment")


@pytest.fixture
def keys(
    sqlite_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Runs `lorabay keys ... --json` on a database and returns what it printed."""
    monkeypatch.setenv("LORABAY_DATABASE", sqlite_url)

    def keys(*arguments: str) -> Any:
        assert run(["keys", *arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return keys


def test_a_key_is_made_as_the_flags_say(keys: Callable[..., Any], tmp_path: Path) -> None:
    """Its id and its text come first."""
    made = keys(
        "create",
        "web shop",
        *("--tenant", "retail", "--adapters", "finance,shop-*", "--adapters", "base"),
        *("--endpoints", "chat,messages", "--requests-per-minute", "60"),
        *("--tokens-per-minute", "6000", "--tokens-per-day", "1", "--tokens-per-month", "0"),
        *("--parallel", "4", "--expires", "90d"),
    )
    assert list(made)[:2] == ["id", "key"]
    sent = read_key(made["key"])
    assert sent is not None
    assert sent.id == made["id"]
    assert made["name"] == "web shop"
    assert made["tenant"] == "retail"
    assert made["adapters"] == ["finance", "shop-*", "base"]
    assert made["endpoints"] == ["chat", "messages"]
    limits = ("requests_per_minute", "tokens_per_minute", "tokens_per_day", "tokens_per_month")
    assert [made[name] for name in (*limits, "parallel")] == [60, 6000, 1, 0, 4]
    assert made["created_by"].startswith("cli")
    assert made["expires_at"].endswith("Z")


def test_a_keys_life(keys: Callable[..., Any]) -> None:
    """It is listed and shown without its secret, rotated under its id, and revoked."""
    made = keys("create", "CI")
    assert made["adapters"] == ["*", "base", "auto"]
    assert keys("list") == keys("list", "--tenant", "default") == [keys("show", "CI")]
    assert keys("list", "--tenant", "other") == []
    assert "key" not in keys("show", made["id"])

    rotated = keys("rotate", "CI", "--overlap", "7d")
    assert rotated["id"] == made["id"]
    assert rotated["key"] != made["key"]
    assert rotated["former_secret_until"] is not None
    assert keys("rotate", "CI", "--overlap", "0")["former_secret_until"] is None

    ended = keys("revoke", "CI")
    assert (ended["state"], ended["revoked_by"][:3]) == ("revoked", "cli")
    assert keys("show", made["id"]) == ended


def test_people_read_lines_and_a_table(
    keys: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """With a word that the key is shown this once; markup in a name is text."""
    assert run(["keys", "create", "[bold]CI"]) == 0
    out, err = capsys.readouterr()
    assert "lb_" in out
    assert "not shown again" in err
    for command in (["list"], ["show", "[bold]CI"], ["revoke", "[bold]CI"]):
        assert run(["keys", *command]) == 0
        out = capsys.readouterr().out
        assert "[bold]CI" in out
        assert "lb_" not in out


def test_the_default_database_is_in_the_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first key makes it."""
    store = tmp_path / "store"
    assert run(["keys", "create", "CI", "--store", str(store)]) == 0
    assert (store / "accounts.db").is_file()
    capsys.readouterr()
    assert run(["keys", "list", "--store", str(store), "--json"]) == 0
    assert [key["name"] for key in json.loads(capsys.readouterr().out)] == ["CI"]


def test_words_that_mean_no_adapter_are_warnings(
    keys: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On stderr, and in the JSON; a directory that is elsewhere says nothing."""
    (tmp_path / "adapters" / "finance").mkdir(parents=True)
    monkeypatch.setenv("LORABAY_ADAPTERS", str(tmp_path / "adapters"))
    assert keys("create", "one", "--adapters", "finance,*,base,tag:x")["warnings"] == []
    [warning] = keys("create", "two", "--adapters", "finanec")["warnings"]
    assert "'finanec'" in warning
    assert run(["keys", "create", "three", "--adapters", "shp-*"]) == 0
    assert "warning: no adapter" in capsys.readouterr().err
    monkeypatch.setenv("LORABAY_ADAPTERS", str(tmp_path / "elsewhere"))
    assert keys("create", "four", "--adapters", "finanec")["warnings"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create", ""], "the name of the key is empty"),
        (["create", "x\x1b[2J"], "cannot be printed"),
        (["create", "x", "--tenant", "a b"], "the tenant 'a b'"),
        (["create", "x", "--adapters", ","], "it names nothing"),
        (["create", "x", "--adapters", "../x"], "'../x' is no adapter"),
        (["create", "x", "--adapters", "finance@12"], "is no version"),
        (["create", "x", "--endpoints", "chatt"], "'chatt' is none; there are chat"),
        (["create", "x", "--expires", "soon"], "'soon' is no time"),
        (["create", "x", "--parallel", "9" * 30], "parallel is 9"),
        (["show", "nobody"], "no key of the id or name 'nobody'"),
        (["rotate", "nobody"], "no key of the id or name 'nobody'"),
        (["rotate", "nobody", "--overlap", "soon"], "is no span"),
        (["revoke", "nobody"], "no key of the id or name 'nobody'"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    keys: Callable[..., Any], the_error: Callable[[], str], arguments: list[str], words: str
) -> None:
    """And exit code 1."""
    assert run(["keys", *arguments]) == 1
    assert words in the_error()


@pytest.mark.parametrize(
    "arguments",
    [
        ["create"],
        ["create", "x", "--parallel", "-1"],
        ["create", "x", "--requests-per-minute", "many"],
        ["destroy", "x"],
        ["revoke"],
    ],
)
def test_a_wrong_command_line_is_2(arguments: list[str]) -> None:
    """As for every command."""
    assert run(["keys", *arguments]) == 2


def test_a_name_is_taken_once(keys: Callable[..., Any], the_error: Callable[[], str]) -> None:
    """Among the active keys of a tenant."""
    keys("create", "CI")
    assert run(["keys", "create", "CI"]) == 1
    assert "has an active key named 'CI'" in the_error()
