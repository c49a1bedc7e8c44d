"""Adapters' events in the audit."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from lorabay.accounts.audit.deeds import Deed
from lorabay.accounts.audit.questions import Question
from lorabay.accounts.database.database import Database
from lorabay.errors import SetupError, StorageUnavailable
from lorabay.metrics import Metrics
from lorabay.reconcile.events import ENGINE, FOLDER, Actor, Event, EventLog
from lorabay.server.audit import Auditor, deed_of

ADMIN = Actor("admin", "r-1")


def event(what: str, who: Actor = ADMIN, adapter: str | None = "finance", **more: str) -> Event:
    version, result = more.get("version"), more.get("result", "ok")
    return Event("2026-11-28", who.kind, who.request_id, what, adapter, version, result)


@pytest.mark.parametrize(
    ("told", "deed"),
    [
        (event("pinned"), Deed("admin", "adapter.pinned", "finance", request_id="r-1")),
        (
            event("rolled back", version="finance@3f9c", result="no"),
            Deed(
                "admin", "adapter.rolled_back", "finance", {"version": "finance@3f9c"}, "no", "r-1"
            ),
        ),
        (
            event("deleted", adapter=None, version="3f9c"),
            Deed("admin", "version.deleted", "3f9c", {"version": "3f9c"}, request_id="r-1"),
        ),
        (event("rescan", adapter=None), Deed("admin", "adapter.rescan", request_id="r-1")),
        (event("removed", FOLDER), Deed("folder", "adapter.removed", "finance")),
        (event("quarantined", ENGINE), Deed("engine", "adapter.quarantined", "finance")),
        (event("scan", FOLDER, adapter=None), None),
        (event("engine died", ENGINE, adapter=None), None),
    ],
)
def test_what_was_done_to_adapters_is_a_deed(told: Event, deed: Deed | None) -> None:
    """Also what failed; what happens to the engine alone is not."""
    assert deed_of(told) == deed


async def test_an_event_is_found_as_soon_as_it_has_happened(sqlite: Database) -> None:
    """Between the start and the end of the server."""
    auditor = Auditor(sqlite, Metrics(CollectorRegistry()))
    answer = auditor.answers()
    log = EventLog()
    log.told = auditor.note
    auditor.begin()
    log.add("pinned", who=ADMIN, adapter="finance")
    log.add("scan")
    rows = [row.as_dict() for row in await answer(Question())]
    assert [row["action"] for row in rows] == ["adapter.pinned", "server.start"]
    auditor.end()
    assert len(await answer(Question(who="server"))) == 2


async def test_a_database_that_is_gone_is_told(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without where it is."""

    async def gone(_: object) -> None:
        raise SetupError("the database at /secret/place cannot be used")

    monkeypatch.setattr(sqlite, "in_reader", gone)
    with pytest.raises(StorageUnavailable) as caught:
        await Auditor(sqlite, Metrics(CollectorRegistry())).answers()(Question())
    assert "secret" not in caught.value.message
