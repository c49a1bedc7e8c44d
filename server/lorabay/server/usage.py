"""The usage of a server: where it is kept, and the answers to questions about it.

It is kept where accounts are in use. The libraries of databases are imported here, when there is a
database.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from lorabay.accounts.usage.journal import Watch
from lorabay.accounts.usage.prices import read
from lorabay.accounts.usage.recorder import JournalRecorder, NoRecorder
from lorabay.errors import SetupError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lorabay.accounts.database.database import Database
    from lorabay.accounts.usage.questions import Question, Report
    from lorabay.accounts.usage.recorder import Recorder
    from lorabay.metrics import Metrics
    from lorabay.server.accounts import Accounts
    from lorabay.settings import Settings

FOLDER = "usage"
"""Where the journals are by default, in the store."""

STOP_S = 5.0
"""How long the end of a server waits for its database; then the journal is left for the next."""

FLUSH_S = 1.0
"""How long a report waits for what has just ended."""


def choose_recorder(settings: Settings, accounts: Accounts | None, metrics: Metrics) -> Recorder:
    """Return what keeps the usage of a server: nothing without accounts.

    Raises SetupError if the journal cannot be written.
    """
    if accounts is None:
        return NoRecorder()

    from lorabay.accounts.usage.store import DatabaseStore

    watch = Watch(
        records=lambda outcome, count: metrics.usage_records.labels(outcome).inc(count),
        failed=lambda where: metrics.usage_failures.labels(where).inc(),
    )
    journals = settings.usage_journal or settings.store / FOLDER
    recorder = JournalRecorder(journals, DatabaseStore(accounts.database), watch)
    metrics.usage_waiting.set_function(lambda: recorder.waiting)
    return recorder


def usage_answers(
    settings: Settings, database: Database, recorder: Recorder
) -> Callable[[Question], Awaitable[Report]]:
    """Return a function that answers questions about usage, also about what has just ended.

    Raises SetupError for a file of prices that is wrong.
    """
    from lorabay.accounts.usage.report import report

    prices = None if settings.usage_prices is None else read(settings.usage_prices)

    async def answer(question: Question) -> Report:
        await asyncio.to_thread(recorder.flush, FLUSH_S)
        try:
            return await database.in_reader(partial(report, question=question, prices=prices))
        except SetupError as error:
            raise StorageUnavailable("the database of usage does not answer") from error

    return answer
