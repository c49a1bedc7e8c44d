"""Where a database is: its URL, checked, and shown without what is secret in it.

Two kinds are known: a file of SQLite, for one server, and PostgreSQL, for several.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from lorabay.errors import UsageError

SQLITE, POSTGRES = "sqlite", "postgresql"

_FORMS = "sqlite:////FOLDER/FILE or postgresql://USER:PASSWORD@HOST/NAME"


def read_address(place: str | Path) -> URL:
    """Return the address of a URL, or of a file of SQLite, with the driver that is used for it.

    Raises UsageError; its message does not repeat a URL, which may hold a password.
    """
    # Not by way of a URL: a path may hold its question mark.
    if isinstance(place, Path):
        return URL.create(SQLITE, database=str(place))

    try:
        address = make_url(place.strip())
    except (ArgumentError, ValueError):
        raise UsageError(f"the database URL cannot be read: write {_FORMS}") from None

    match address.drivername:
        case "sqlite":
            return _named_file(address)
        case "postgresql" | "postgres" | "postgresql+psycopg":
            return address.set(drivername="postgresql+psycopg")
        case other:
            raise UsageError(f"databases of the kind {other[:40]!r} are not known: write {_FORMS}")


def _named_file(address: URL) -> URL:
    if address.database in {None, "", ":memory:"}:
        raise UsageError("the database URL names no file: write sqlite:////FOLDER/FILE")
    return address


def file_of(address: URL) -> Path | None:
    """Return the file of a SQLite database; None for other kinds, and for SQLite's own URIs."""
    if not is_sqlite(address) or address.database is None or address.database.startswith("file:"):
        return None
    return Path(address.database)


def is_sqlite(address: URL) -> bool:
    """Return whether this is a file of SQLite."""
    return address.get_backend_name() == SQLITE


def shown(address: URL) -> str:
    """Return an address for a message: a file, or a URL without its password and options."""
    if is_sqlite(address):
        return str(address.database)

    plain = address.set(drivername=POSTGRES, query={})
    return plain.render_as_string(hide_password=True)
