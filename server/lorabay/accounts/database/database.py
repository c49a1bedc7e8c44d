"""A database that can be used: opened, of the schema that this program knows, and writable.

Work on it is a function of a connection, which runs in a transaction of its own. On the event loop
it goes to threads: all writes to one, in their order; reads beside them. The loop never waits for a
statement.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, wait
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

import structlog
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from lorabay.accounts.database import schema
from lorabay.accounts.database.addresses import read_address, shown
from lorabay.accounts.database.changes import CHANGES
from lorabay.accounts.database.engines import for_reads, make_engine
from lorabay.accounts.database.failures import is_outage, outage
from lorabay.accounts.database.schema import State
from lorabay.accounts.database.writer import Writer
from lorabay.errors import SetupError
from lorabay.files.daemon_threads import DaemonThreads

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy.engine import URL, Connection, Engine

logger = structlog.get_logger(__name__)

CLOSE_S = 10.0
"""How long `close` waits for what is still to be written."""

Result = TypeVar("Result")


class Database:
    """The database at `address`; made by `open_database`.

    All methods raise SetupError if the database cannot be used now: gone, locked, full, read-only.
    """

    def __init__(self, engine: Engine, address: URL) -> None:
        self.engine = engine
        self.address = address
        self._reads = for_reads(engine)
        self._writer = Writer("lorabay-database-write")
        self._readers = DaemonThreads("lorabay-database-read")
        self._reading: set[Future[Any]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, work: Callable[[Connection], Result]) -> Result:
        """Do `work` in a transaction, and return its result once that is on disk. Blocks."""
        return _transact(self.engine, self.address, work)

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """Do `work`, which reads only, on one state of the database; return its result. Blocks."""
        return _transact(self._reads, self.address, work)

    async def in_writer(self, work: Callable[[Connection], Result]) -> Result:
        """Do the same as `write`, in the writer's thread, behind what it was given before.

        Work that has begun goes on if the caller is cancelled.
        """
        return await asyncio.wrap_future(self._writer.submit(partial(self.write, work)))

    async def in_reader(self, work: Callable[[Connection], Result]) -> Result:
        """Do the same as `read`, in a thread beside the writer's."""
        reading = self._readers.submit(self.read, work)
        self._reading.add(reading)
        reading.add_done_callback(self._reading.discard)
        return await asyncio.wrap_future(reading)

    def close(self) -> None:
        """Wait, for a while, until everything is written, and close the connections. Blocks."""
        if not self._writer.close(CLOSE_S):
            logger.warning("the database does not answer; something was not written to it")

        # A read that goes on would leave its connection open.
        wait(tuple(self._reading), CLOSE_S)
        self.engine.dispose()


def open_database(place: str | Path) -> Database:
    """Return the database at a URL or in a file, ready for use. Blocks.

    An empty one gets its tables, and the file of SQLite is made if it is not there.

    Raises UsageError for a URL that means no database, and SetupError for a database that cannot be
    used, whose schema is older or newer than this program's, or that cannot be written to.
    """
    address = read_address(place)
    engine = make_engine(address)
    try:
        _at_start(engine, address, partial(_prepare, address=address))
    except BaseException:
        engine.dispose()
        raise
    return Database(engine, address)


def upgrade_database(place: str | Path) -> tuple[str, ...]:
    """Bring a database to the newest schema; return the migrations that it took. Blocks.

    Raises as `open_database` does.
    """
    address = read_address(place)
    engine = make_engine(address)
    try:
        return _at_start(engine, address, partial(_upgrade, address=address))
    finally:
        engine.dispose()


def _prepare(connection: Connection, address: URL) -> None:
    """Make the tables of an empty database; refuse one that cannot be used as it is."""
    state = _state(connection, address)
    if state is State.EMPTY:
        schema.upgrade(connection)
    elif state is State.OLDER:
        raise SetupError(
            f"the database {shown(address)} is from an older lorabay: stop the servers that use "
            "it, and run `lorabay database upgrade`"
        )

    # A full disk and a copy that only follows another server show themselves at a write.
    connection.execute(update(CHANGES).values(counter=CHANGES.c.counter))


def _upgrade(connection: Connection, address: URL) -> tuple[str, ...]:
    _state(connection, address)
    return schema.upgrade(connection)


def _state(connection: Connection, address: URL) -> State:
    """Return the state of the schema; raises SetupError for a newer one."""
    state = schema.state_of(connection)
    if state is State.NEWER:
        raise SetupError(
            f"the database {shown(address)} has schema {schema.revision_of(connection)}, which "
            "this lorabay does not know: upgrade lorabay"
        )
    return state


def _transact(engine: Engine, address: URL, work: Callable[[Connection], Result]) -> Result:
    try:
        with engine.begin() as connection:
            return work(connection)
    except SQLAlchemyError as error:
        if not is_outage(error):
            raise
        raise outage(error, address) from error


def _at_start(engine: Engine, address: URL, work: Callable[[Connection], Result]) -> Result:
    """Do the first work on a database: whatever fails then is the setup's fault."""
    try:
        with engine.begin() as connection:
            return work(connection)
    except DBAPIError as error:
        raise outage(error, address) from error
