"""What keeps a server's usage, and that reports have what has just ended."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from lorabay.accounts.database.database import Database, open_database
from lorabay.accounts.usage.questions import By, Question
from lorabay.accounts.usage.recorder import JournalRecorder, NoRecorder
from lorabay.errors import SetupError, StorageUnavailable
from lorabay.metrics import Metrics
from lorabay.server.usage import choose_recorder, usage_answers
from lorabay.settings import Settings
from tests.accounts.usage.made import a_record

PATIENCE_S = 30.0
PRICES = 'currency = "EUR"\n[[price]]\nprompt = 1\ngenerated = 2\n'


def accounts_over(database: Database) -> Any:
    """Return accounts as far as usage is concerned."""
    return SimpleNamespace(database=database)


def test_without_accounts_there_is_neither_a_journal_nor_a_database(tmp_path: Path) -> None:
    """Nothing is written anywhere."""
    settings = Settings(store=tmp_path / "store")
    recorder = choose_recorder(settings, None, Metrics(CollectorRegistry()))
    assert isinstance(recorder, NoRecorder)
    assert list(tmp_path.iterdir()) == []


async def test_a_report_has_what_has_just_ended(tmp_path: Path, sqlite_url: str) -> None:
    """With amounts if there are prices; metrics tell what came of it."""
    prices = tmp_path / "prices.toml"
    prices.write_text(PRICES)
    settings = Settings(store=tmp_path / "store", usage_prices=prices)
    metrics = Metrics(CollectorRegistry())
    with open_database(sqlite_url) as database:
        recorder = choose_recorder(settings, accounts_over(database), metrics)
        assert isinstance(recorder, JournalRecorder)
        answer = usage_answers(settings, database, recorder)
        recorder.record(a_record())
        # Long enough on a busy machine: the answer itself waits for a second only.
        assert recorder.flush(PATIENCE_S)
        [line] = (await answer(Question((By.TENANT,)))).lines
        assert line.labels == ("acme",)
        assert str(line.amount) == "0.000020"
        recorder.stop(PATIENCE_S)

    value = metrics.registry.get_sample_value
    assert value("lorabay_usage_records_total", {"outcome": "inserted"}) == 1
    assert value("lorabay_usage_waiting") == 0
    assert (tmp_path / "store" / "usage").stat().st_mode & 0o777 == 0o700


async def test_a_database_that_is_gone_is_told_without_its_place(
    tmp_path: Path, sqlite_url: str
) -> None:
    """An administrator's client learns no path of the server."""

    class Gone:
        async def in_reader(self, work: object) -> None:
            raise SetupError("the database /srv/secret.db cannot be used")

    database: Any = Gone()
    answer = usage_answers(Settings(store=tmp_path), database, NoRecorder())
    with pytest.raises(StorageUnavailable, match="database of usage does not answer"):
        await answer(Question())


def test_a_wrong_file_of_prices_ends_the_start(tmp_path: Path) -> None:
    """In one line."""
    prices = tmp_path / "prices.toml"
    prices.write_text("currency = 7")
    database: Any = None
    with pytest.raises(SetupError, match="prices file"):
        usage_answers(Settings(usage_prices=prices), database, NoRecorder())
