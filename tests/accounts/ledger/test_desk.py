"""The desk of limits: changes while a server runs."""

from __future__ import annotations

from lorabay.accounts.database.database import Database
from lorabay.accounts.ledger.desk import LimitDesk
from lorabay.accounts.ledger.rule_book import RuleBook
from lorabay.accounts.ledger.scopes import ScopeKind
from lorabay.accounts.limits import UNLIMITED, Limits

PLACE = (ScopeKind.TENANT, "acme")


async def test_a_change_holds_when_its_call_returns(database: Database) -> None:
    """On the server whose desk it was."""
    book = RuleBook(database)
    desk = LimitDesk(database, book)
    set_ = await desk.set(PLACE, Limits(parallel=2), who="admin")
    assert set_.limits == book.rules.limits == {PLACE: Limits(parallel=2)}
    assert (await desk.listed()).limits == set_.limits
    await desk.set(PLACE, UNLIMITED, who="admin")
    assert book.rules.limits == {}
