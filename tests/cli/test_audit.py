"""`lorabay audit`, on a file of SQLite."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from lorabay.accounts.audit.tables import AUDIT
from lorabay.accounts.database.database import open_database
from lorabay.cli import run

pytestmark = pytest.mark.usefixtures("no_settings_in_environment")

Audit = Callable[..., Any]


@pytest.fixture
def store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A store with a key that was made, rotated and revoked, and limits that were set."""
    where = ("--store", str(tmp_path))
    assert run(["keys", "create", "CI", "--tenant", "acme", *where]) == 0
    assert run(["keys", "rotate", "CI", *where]) == 0
    assert run(["keys", "revoke", "CI", *where]) == 0
    assert run(["limits", "set", "--tenant", "acme", "--parallel", "2", *where]) == 0
    capsys.readouterr()
    return tmp_path


@pytest.fixture
def audit(store: Path, capsys: pytest.CaptureFixture[str]) -> Audit:
    """Runs `lorabay audit ... --json` and returns its exit code and what it printed."""

    def done(*arguments: str) -> tuple[int, Any]:
        code = run(["audit", *arguments, "--store", str(store), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return done


def test_what_the_command_line_did_is_listed(audit: Audit) -> None:
    """The newest first, and filtered."""
    _, rows = audit("list")
    actions = ["limits.set", "key.revoke", "key.rotate", "key.create"]
    assert [row["action"] for row in rows] == actions
    assert all(row["who"].startswith("cli") for row in rows)
    assert [row["action"] for row in audit("list", "--action", "key")[1]] == actions[1:]
    assert len(audit("list", "--limit", "1")[1]) == 1
    assert audit("list", "--until", "2020-01-01")[1] == []
    assert len(audit("list", "--target", "tenant:acme")[1]) == 1


def test_a_list_is_a_table_or_csv(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table by default."""
    assert run(["audit", "list", "--store", str(store)]) == 0
    assert "key.create" in capsys.readouterr().out
    assert run(["audit", "list", "--csv", "--store", str(store)]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 5
    assert rows[1][3] == "limits.set"


def test_a_whole_audit_is_whole(audit: Audit, store: Path, the_out: Callable[[], str]) -> None:
    """Its head can be noted, and be checked against later."""
    code, verdict = audit("verify")
    assert (code, verdict["ok"], verdict["rows"]) == (0, True, 4)
    assert audit("verify", "--noted", verdict["head"])[0] == 0
    assert audit("verify", "--noted", f"4:{'0' * 64}")[1]["broken"] == 4
    assert run(["audit", "verify", "--store", str(store)]) == 0
    assert verdict["head"] in the_out()


def test_a_row_with_a_flipped_byte_is_named(
    audit: Audit, store: Path, the_out: Callable[[], str]
) -> None:
    """And the exit code is 1."""
    with open_database(store / "accounts.db") as database:

        def flip(connection: Any) -> None:
            row = connection.execute(AUDIT.select().where(AUDIT.c.number == 2)).one()
            entry = bytes([row.entry[0] ^ 1]) + bytes(row.entry[1:])
            connection.execute(update(AUDIT).where(AUDIT.c.number == 2).values(entry=entry))

        database.write(flip)
    code, verdict = audit("verify")
    assert (code, verdict["ok"], verdict["broken"]) == (1, False, 2)
    assert run(["audit", "verify", "--store", str(store)]) == 1
    assert "broken at row 2" in the_out()


@pytest.fixture
def the_out(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Returns what was printed since the last time."""
    return lambda: capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "--since", "yesterday"], "must be a day"),
        (["list", "--limit", "0"], "it is from 1 to"),
        (["list", "--json", "--csv"], "choose one"),
        (["verify", "--noted", "7"], "NUMBER:HASH"),
    ],
)
def test_a_wrong_command_is_one_line(
    store: Path, arguments: list[str], words: str, the_error: Callable[[], str]
) -> None:
    """And exit code 2."""
    assert run(["audit", *arguments, "--store", str(store)]) == 2
    assert words in the_error()


@pytest.mark.parametrize("command", ["list", "verify"])
def test_without_a_database_nothing_is_made(
    tmp_path: Path, command: str, the_error: Callable[[], str]
) -> None:
    """A question leaves no file behind."""
    assert run(["audit", command, "--store", str(tmp_path / "store")]) == 1
    assert "no accounts" in the_error()
    assert not (tmp_path / "store").exists()
