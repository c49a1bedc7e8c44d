"""Deeds that are taken down behind what was done."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from lorabay.accounts.audit import scribe as scribe_module
from lorabay.accounts.audit.book import listed, verify
from lorabay.accounts.audit.deeds import Deed
from lorabay.accounts.audit.questions import Question
from lorabay.accounts.audit.scribe import Scribe
from lorabay.accounts.database.database import Database
from lorabay.errors import SetupError

DEEDS = [Deed("admin", "adapter.pinned", f"adapter-{number}") for number in range(7)]


def targets(database: Database) -> list[str]:
    rows = database.read(partial(listed, question=Question()))
    return [row.as_dict()["target"] for row in rows][::-1]


def test_deeds_are_written_in_their_order(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one transaction or in several, and all of them when it closes."""
    monkeypatch.setattr(scribe_module, "AT_ONCE", 3)
    scribe = Scribe(database)
    for deed in DEEDS:
        scribe.take_down(deed)
    scribe.close(30)
    assert targets(database) == [deed.target for deed in DEEDS]
    assert database.read(verify).is_whole


def test_while_the_database_is_gone_deeds_wait(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are written when it is back; those beyond the room are counted."""
    monkeypatch.setattr(scribe_module, "RETRY_S", 0.01)
    monkeypatch.setattr(scribe_module, "WAITING", 5)
    write = sqlite.write

    def gone(_: Any) -> None:
        raise SetupError("the database cannot be used")

    monkeypatch.setattr(sqlite, "write", gone)
    lost: list[int] = []
    scribe = Scribe(sqlite, lost=lost.append)
    for deed in DEEDS:
        scribe.take_down(deed)
    assert not scribe.flush(0.05)
    assert sum(lost) == 2
    monkeypatch.setattr(sqlite, "write", write)
    assert scribe.flush(30)
    scribe.close(30)
    assert targets(sqlite) == [deed.target for deed in DEEDS[2:]]


def test_a_deed_that_cannot_be_written_holds_up_no_other(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug is logged, and the deed counted as lost."""
    write = sqlite.write

    def fail(_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(sqlite, "write", fail)
    lost: list[int] = []
    scribe = Scribe(sqlite, lost=lost.append)
    scribe.take_down(DEEDS[0])
    assert scribe.flush(30)
    assert lost == [1]
    monkeypatch.setattr(sqlite, "write", write)
    scribe.take_down(DEEDS[1])
    scribe.close(30)
    assert targets(sqlite) == [DEEDS[1].target]


def test_a_scribe_that_has_nothing_to_write_closes_at_once(sqlite: Database) -> None:
    """It has no thread."""
    Scribe(sqlite).close(0)
