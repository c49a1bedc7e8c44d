"""Limits in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.accounts.ledger.rules_table import newest, read_rules, set_limits
from lorabay.accounts.ledger.scopes import ScopeKind
from lorabay.accounts.limits import MOST, UNLIMITED, Limits

if TYPE_CHECKING:
    from lorabay.accounts.database.database import Database

PLACE = (ScopeKind.TENANT, "x'; DROP TABLE limits; --")


def test_limits_are_read_as_they_were_set(database: Database) -> None:
    """The last ones that were set, whatever the name holds; each change is counted."""
    before = database.read(newest)
    largest = Limits(tokens_per_month=MOST, parallel=0)
    for limits in (Limits(parallel=1), largest):
        database.write(
            lambda connection, limits=limits: set_limits(connection, PLACE, limits, who="cli")
        )
    assert database.read(read_rules).limits == {PLACE: largest}
    database.write(lambda connection: set_limits(connection, PLACE, UNLIMITED, who="cli"))
    assert database.read(read_rules).limits == {}
    assert database.read(newest) == before + 3
