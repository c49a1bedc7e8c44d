"""The schema of a database: which migrations it has had, and the way to the newest one.

Alembic runs the modules of `migrations`, each of which names the one before it. All of them run in
one transaction, so that a migration that fails or is killed leaves the database as it was.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alembic.runtime.migration import RevisionStep
    from sqlalchemy.engine import Connection

MIGRATIONS = Path(__file__).parent / "migrations"

VERSION_TABLE = "lorabay_version"
"""The table that holds the newest migration that a database has had."""

_UPGRADE_LOCK = 0x6C6F7261
"""The number of PostgreSQL's lock that lets one upgrade run at a time."""


class State(StrEnum):
    """How a database's schema compares with this program's."""

    EMPTY = "empty"
    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"


def state_of(connection: Connection, migrations: Path = MIGRATIONS) -> State:
    """Return how the schema of a database compares with that of `migrations`."""
    revision = revision_of(connection)
    if revision is None:
        return State.EMPTY

    scripts = _scripts(migrations)
    if revision == scripts.get_current_head():
        return State.CURRENT

    known = {script.revision for script in scripts.walk_revisions()}
    return State.OLDER if revision in known else State.NEWER


def revision_of(connection: Connection) -> str | None:
    """Return the newest migration that a database has had; None if it is empty."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return _context(connection).get_current_revision()


def upgrade(connection: Connection, migrations: Path = MIGRATIONS) -> tuple[str, ...]:
    """Bring a database to the newest schema; return the migrations that it took.

    `connection` is in a transaction that writes. Other upgrades of the same database wait for its
    end.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _UPGRADE_LOCK})

    scripts = _scripts(migrations)
    taken: list[str] = []

    def steps(current: tuple[str, ...], _: MigrationContext) -> Iterable[RevisionStep]:
        ahead = list(scripts.iterate_revisions("head", current, implicit_base=True))
        ahead.reverse()
        taken.extend(script.revision for script in ahead)
        return [MigrationStep.upgrade_from_script(scripts.revision_map, script) for script in ahead]

    context = _context(connection, fn=steps)
    with Operations.context(context):
        context.run_migrations()
    return tuple(taken)


def _scripts(migrations: Path) -> ScriptDirectory:
    # Without `env.py`: the connection is ours, and nothing but upgrades is wanted.
    return ScriptDirectory(migrations, version_locations=[migrations])


def _context(connection: Connection, **options: object) -> MigrationContext:
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, **options})
