"""A server follows the limits in its database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.accounts.database.database import open_database
from lorabay.accounts.ledger.rule_book import RuleBook
from lorabay.accounts.ledger.rules_table import set_limits
from lorabay.accounts.ledger.scopes import ScopeKind
from lorabay.accounts.limits import Limits

if TYPE_CHECKING:
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
