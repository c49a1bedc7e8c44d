"""A key to which every kind of limit applies, none of which is ever reached."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.accounts.database.database import open_database
from lorabay.accounts.keys import book
from lorabay.accounts.keys.wishes import KeyWishes
from lorabay.accounts.ledger.rules_table import set_limits
from lorabay.accounts.ledger.scopes import ScopeKind
from lorabay.accounts.limits import LIMIT_NAMES, Limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.engine import Connection

TENANT = "acme"
PLENTY = Limits(**dict.fromkeys(LIMIT_NAMES, 10**9))


def make_limited_key(place: str | Path, adapters: Iterable[str]) -> str:
    """Make the key in a database, with limits of its tenant, of adapters, and of itself on them;
    return its text.
    """

    def make(connection: Connection) -> str:
        wishes = KeyWishes("limited", TENANT, limits=PLENTY)
        made = book.create(connection, wishes, who="test")
        set_limits(connection, (ScopeKind.TENANT, TENANT), PLENTY, who="test")
        for adapter in adapters:
            set_limits(connection, (ScopeKind.ADAPTER, adapter), PLENTY, who="test")
            on_adapter = f"{made.key.id}/{adapter}"
            set_limits(connection, (ScopeKind.KEY_ON_ADAPTER, on_adapter), PLENTY, who="test")
        return made.text

    with open_database(place) as database:
        return database.write(make)
