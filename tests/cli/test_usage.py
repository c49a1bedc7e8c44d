"""`lorabay usage`: its forms, and what is wrong about a question."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from lorabay.accounts.database.database import open_database
from lorabay.accounts.usage.tables import insert_usage
from lorabay.cli import run
from tests.accounts.usage.made import a_record

pytestmark = pytest.mark.usefixtures("no_settings_in_environment")

PRICES = 'currency = "EUR"\n[[price]]\nprompt = 1\ngenerated = 2\n'


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store whose accounts have used two adapters."""
    folder = tmp_path / "store"
    usage = [a_record(), a_record(), a_record(adapter="shop", tenant="=cmd()")]
    with open_database(folder / "accounts.db") as database:
        database.write(partial(insert_usage, records=usage))
    return folder


def test_usage_as_json(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the keys and adapters since a day."""
    arguments = ["usage", "--by", "key,adapter", "--since", "2026-11-01", "--json"]
    assert run([*arguments, "--store", str(store)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [(line["adapter"], line["requests"]) for line in answer["lines"]] == [
        ("finance", 2),
        ("shop", 1),
    ]
    assert answer["total"]["generated_tokens"] == 15


def test_usage_as_csv_with_amounts(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A tenant's name is no formula."""
    prices = tmp_path / "prices.toml"
    prices.write_text(PRICES)
    arguments = ["usage", "--by", "tenant", "--csv", "--prices", str(prices)]
    assert run([*arguments, "--store", str(store)]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert [row[0] for row in rows] == ["tenant", "'=cmd()", "acme"]
    assert rows[2][-2:] == ["0.000040", "EUR"]


def test_usage_as_a_table_with_its_total(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The default is a line for each tenant and adapter."""
    assert run(["usage", "--store", str(store)]) == 0
    table = capsys.readouterr().out
    assert "finance" in table
    assert "total" in table
    assert run(["usage", "--store", str(store), "--tenant", "nobody"]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--by", "color"], "cannot be told apart by 'color'"),
        (["--since", "yesterday"], "must be a day"),
        (["--json", "--csv"], "choose one"),
    ],
)
def test_a_wrong_question_is_one_line(
    store: Path, arguments: list[str], words: str, the_error: Callable[[], str]
) -> None:
    """And exit code 2."""
    assert run(["usage", "--store", str(store), *arguments]) == 2
    assert words in the_error()


def test_without_a_database_nothing_is_made(tmp_path: Path, the_error: Callable[[], str]) -> None:
    """A question leaves no file behind."""
    assert run(["usage", "--store", str(tmp_path / "store")]) == 1
    assert "no accounts" in the_error()
    assert not (tmp_path / "store").exists()
