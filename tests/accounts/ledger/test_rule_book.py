"""A server follows the limits in its database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from lorabay.accounts.database.database import open_database
from lorabay.accounts.ledger.rule_book import RuleBook
from lorabay.accounts.ledger.rules_table import set_limits
from lorabay.accounts.ledger.scopes import ScopeKind
from lorabay.accounts.limits import Limits
from lorabay.errors import SetupError

if TYPE_CHECKING:
    import pytest

    from lorabay.accounts.database.database import Database
    from tests.fixtures.databases import PostgresServer

PLACE = (ScopeKind.ADAPTER, "finance")


async def test_a_change_is_taken_up_and_an_outage_changes_nothing(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    """What another process has set is known at the next look."""
    with open_database(postgres_url) as opened:
        book = RuleBook(opened)
        assert book.rules.limits == {}
        opened.write(
            lambda connection: set_limits(connection, PLACE, Limits(parallel=2), who="cli")
        )
        await book.look()
        assert book.rules.limits == {PLACE: Limits(parallel=2)}

        postgres_server.stop()
        try:
            await book.look()
        finally:
            postgres_server.start()
        assert book.rules.limits == {PLACE: Limits(parallel=2)}


async def test_following_survives_whatever_a_look_raises(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: one look that failed in an unknown way ended all that keeps limits."""
    failures: list[Exception] = [SetupError("gone"), ValueError("a bug")]
    read, looked = database.in_reader, asyncio.Event()

    async def failing(work: Any) -> Any:
        if failures:
            raise failures.pop(0)
        looked.set()
        return await read(work)

    monkeypatch.setattr("lorabay.accounts.ledger.rule_book.LOOK_S", 0.001)
    monkeypatch.setattr(database, "in_reader", failing)
    following = asyncio.create_task(RuleBook(database).follow())
    waiting = asyncio.create_task(looked.wait())
    await asyncio.wait({following, waiting}, return_when=asyncio.FIRST_COMPLETED)
    assert not following.done()
    assert failures == []
    following.cancel()
    await asyncio.gather(following, waiting, return_exceptions=True)
