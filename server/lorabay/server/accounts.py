"""The accounts of a server: its database and the keys in it, if accounts are in use.

The libraries of databases are imported here, when there is a database.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from lorabay.accounts.libraries import check_libraries
from lorabay.accounts.place import place_in_use

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.accounts.database.database import Database
    from lorabay.accounts.keys.desk import KeyDesk
    from lorabay.accounts.keys.snapshot import KeySnapshot
    from lorabay.settings import Settings

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Accounts:
    """What a server with accounts has beside one without."""

    database: Database
    keys: KeySnapshot
    desk: KeyDesk


@contextmanager
def open_accounts(settings: Settings) -> Iterator[Accounts | None]:
    """Yield the accounts with all keys read, or None if accounts are not in use.

    Raises SetupError for a database that cannot be used. Blocks.
    """
    url = None if settings.database is None else settings.database.get_secret_value()
    place = place_in_use(url, settings.store)
    if place is None:
        yield None
        return

    check_libraries()
    from lorabay.accounts.database.addresses import shown
    from lorabay.accounts.database.database import open_database
    from lorabay.accounts.keys.desk import KeyDesk
    from lorabay.accounts.keys.snapshot import KeySnapshot

    with open_database(place) as database:
        keys = KeySnapshot(database, max_age_s=settings.keys_max_age_s)
        keys.load()
        logger.info("accounts are in use", database=shown(database.address), keys=len(keys))
        yield Accounts(database, keys, KeyDesk(database, keys))
