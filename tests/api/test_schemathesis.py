"""Requests from our own document, on a server with everything real but its engine."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import APIRouter
from prometheus_client import CollectorRegistry

from lorabay.accounts.database.database import open_database
from lorabay.accounts.keys import book
from lorabay.accounts.keys.desk import KeyDesk
from lorabay.accounts.keys.snapshot import KeySnapshot
from lorabay.accounts.keys.wishes import KeyWishes
from lorabay.accounts.ledger.desk import LimitDesk
from lorabay.accounts.ledger.rule_book import RuleBook
from lorabay.accounts.usage.questions import Question, Report
from lorabay.accounts.usage.store import DatabaseStore
from lorabay.api import auth
from lorabay.api.admin import admin_router
from lorabay.api.admin_keys import keys_router
from lorabay.api.admin_limits import limits_router
from lorabay.api.audit import audit_router
from lorabay.api.auth import KEY_OWNER, Gate, KeyGate
from lorabay.api.keyring import Keyring
from lorabay.api.parts import Parts
from lorabay.api.usage import usage_router
from lorabay.base.find import BaseFolder
from lorabay.base.shapes import BaseShapes
from lorabay.metrics import Metrics
from lorabay.server.audit import Auditor
from lorabay.serving.admin import Operations
from lorabay.serving.engine import CALLS
from lorabay.serving.vllm.engine import VllmEngine
from tests import making
from tests.api.conftest import make_app
from tests.documented import MODES, Statuses, exercise, operations_of
from tests.serving.bay import Bay
from tests.serving.mortal_engine import MortalEngine
from tests.slots import enough_slots
from tests.versions import BASE_NAMES

ADMINS, CALLS_OWN, KEYS_NAME = "ads", "bank", "CI"
KEY = "one key for all paths"
HEADERS = {"authorization": f"Bearer {KEY}"}
CASES, CASES_OF_A_LARGE_SCHEMA, CASES_OF_ALIKE = 70, 12, 6
"""Requests of each sort to an operation, in `WHOLE` of all.

A request of one of vLLM's large schemas takes half a second of processor time to make; of the
others, some hundredths. The calls that pool are alike.
"""

SMALL_SCHEMAS = frozenset({"/v1/completions", "/detokenize"})
"""Calls of vLLM whose requests are as quick to make as our own."""

WHOLE = 3000


class DocumentedEngine(MortalEngine):
    """An engine with vLLM's own schemas, which answers whatever it is sent."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._vllm = VllmEngine(BaseFolder(folder, "tiny"), {})

    def schemas(self) -> Any:
        return self._vllm.schemas()


class Office:
    """The paths of accounts, over a database in a file that has one key."""

    def __init__(self, file: Path) -> None:
        self.database = open_database(file)
        self._keys = KeySnapshot(self.database, max_age_s=3600)
        self._keys.load()
        wishes = KeyWishes(KEYS_NAME)
        self.database.write(partial(book.create, wishes=wishes, who="cli"))

    def routers(self, gate: Gate, names: Callable[[], Iterable[str]]) -> list[APIRouter]:
        """Return the paths of keys, limits, usage and audit."""
        usage = DatabaseStore(self.database)
        audit = Auditor(self.database, Metrics(CollectorRegistry()))

        async def answer(question: Question) -> Report:
            return await asyncio.to_thread(usage.answer, question, None)

        return [
            keys_router(KeyDesk(self.database, self._keys), gate, names),
            limits_router(LimitDesk(self.database, RuleBook(self.database)), gate),
            usage_router(answer, gate),
            audit_router(audit.answers(), gate),
        ]


class RunningServer:
    """uvicorn on a loop of its own, in a thread; `url` is there when the server is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.url = ""

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        shapes = BaseShapes.read(making.make_base(self._folder / "tiny"), names=BASE_NAMES)
        bay = Bay(self._folder, shapes)
        manager = bay.manager(DocumentedEngine(self._folder / "tiny"))
        await manager.start()
        # One for the administrator to take away, one for the calls.
        for number, name in enumerate((ADMINS, CALLS_OWN)):
            await bay.serve(name, number)

        gate = KeyGate(Keyring(KEY), auth.ADMIN)
        operations = admin_router(Operations(manager, bay.reconciler), gate)
        office = Office(self._folder / "accounts.db")
        routers = [operations, *office.routers(gate, bay.registry.names)]
        parts = Parts(manager.engine, bay.registry, manager, enough_slots(), bay.metrics)
        app = make_app(parts, KeyGate(Keyring(KEY), KEY_OWNER), routers=routers)
        self._http = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self._ready.set()
            await self._http.serve(sockets=[listener])

        await manager.stop()
        office.database.close()
        bay.store.close()

    def __enter__(self) -> str:
        self._thread.start()
        assert self._ready.wait(300)  # vLLM is imported
        return self.url

    def __exit__(self, *_: object) -> None:
        self._http.should_exit = True
        self._thread.join(300)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with RunningServer(tmp_path_factory.mktemp("documented")) as address:
        yield address


@pytest.mark.timeout(900)  # a minute or two; more where others use the processors
def test_every_answer_is_one_that_the_document_allows(
    url: str, figures: list[str], request: pytest.FixtureRequest
) -> None:
    """Right requests and wrong ones, of every operation: none is a 5xx, and none surprises."""
    at_least: int = request.config.getoption("--documented-requests")
    total: Statuses = Counter()
    for operation in operations_of(url):
        is_call = operation[1] in {call.path for call in CALLS}
        is_large = is_call and operation[1] not in SMALL_SCHEMAS
        count = CASES_OF_A_LARGE_SCHEMA if is_large else CASES
        if operation[1] in {call.path for call in CALLS if call.pools}:
            count = CASES_OF_ALIKE
        names = (CALLS_OWN, "tiny") if is_call else (ADMINS, KEYS_NAME)
        for mode in MODES:
            share = ceil(count * at_least / WHOLE)
            total += exercise(url, operation, mode, share, headers=HEADERS, names=names)
    figures.append(f"requests from the document: {total.total()}, {dict(sorted(total.items()))}")
    assert total.total() >= at_least
    assert total[200] > at_least / 10
