"""Servers with accounts and without: what is opened, and two servers over one database."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import event

from lorabay.accounts.database.database import Database, open_database
from lorabay.accounts.keys import book
from lorabay.accounts.keys.book import NewKey
from lorabay.accounts.keys.snapshot import KeySnapshot
from lorabay.accounts.keys.wishes import KeyWishes
from lorabay.accounts.place import FILE_NAME
from lorabay.accounts.usage.questions import Question
from lorabay.accounts.usage.report import report
from lorabay.api.auth import AccountGate
from lorabay.api.keyring import Keyring
from lorabay.catalog.registry.registry import Registry
from lorabay.errors import SetupError, UsageError
from lorabay.metrics import Metrics
from lorabay.server.accounts import Accounts, open_accounts
from lorabay.server.limit_keeper import LimitKeeper
from lorabay.server.usage import choose_recorder
from lorabay.serving.engine import CHAT
from lorabay.settings import Settings, load_settings
from tests.accounts.limited_key import make_limited_key
from tests.api.conftest import client_of, make_app, parts_over
from tests.fake_engine import FakeEngine
from tests.fixtures.databases import PostgresServer
from tests.versions import make_version

PATIENCE_S = 60.0


def settings_of(store: Path, url: str | None = None) -> Settings:
    given = {"store": store} if url is None else {"store": store, "database": url}
    return load_settings(given, environ={})


def make(database: Database, name: str = "CI", **wishes: Any) -> NewKey:
    return database.write(partial(book.create, wishes=KeyWishes(name, **wishes), who="cli"))


def test_without_a_database_there_are_no_accounts_and_no_file(tmp_path: Path) -> None:
    """A server with `--api-key` alone is what it was."""
    with open_accounts(settings_of(tmp_path / "store")) as accounts:
        assert accounts is None
    assert list(tmp_path.iterdir()) == []


def test_the_database_in_the_store_is_found(database_folder: Path) -> None:
    """With its keys, once somebody has made one."""
    with open_database(database_folder / FILE_NAME) as database:
        made = make(database)
    with open_accounts(settings_of(database_folder)) as accounts:
        assert accounts is not None
        assert accounts.keys.identify(made.text).id == made.key.id


def test_a_database_that_cannot_be_used_ends_the_start(tmp_path: Path) -> None:
    """In one line: what is wrong with the setting, or with the database."""
    with pytest.raises(UsageError), open_accounts(settings_of(tmp_path, "nonsense")):
        raise AssertionError
    (tmp_path / FILE_NAME).write_text("no database " * 100)
    with (
        pytest.raises(SetupError, match="file is not a database"),
        open_accounts(settings_of(tmp_path)),
    ):
        raise AssertionError


@asynccontextmanager
async def running(url: str, registry: Registry, store: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A server over a database, which follows it as a real one does; the engine is a fake."""
    async with AsyncExitStack() as stack:
        accounts = stack.enter_context(open_accounts(settings_of(store, url)))
        assert isinstance(accounts, Accounts)
        following = asyncio.create_task(accounts.keys.follow())
        stack.callback(following.cancel)
        app = make_app(parts_over(registry), AccountGate(accounts.keys, Keyring("of the operator")))
        http = await stack.enter_async_context(client_of(app))
        http.database = accounts.database  # type: ignore[attr-defined]
        yield http


async def ask(http: httpx.AsyncClient, key: str, model: str = "finance") -> int:
    headers = {"authorization": f"Bearer {key}"}
    return (await http.post(CHAT.path, json={"model": model}, headers=headers)).status_code


async def until(holds: Callable[[], Awaitable[bool]]) -> float:
    """Return how long it took, in seconds, until something holds."""
    began = time.monotonic()
    async with asyncio.timeout(PATIENCE_S):
        while not await holds():
            await asyncio.sleep(0.02)
    return time.monotonic() - began


@pytest.fixture
def served(registry: Registry) -> Registry:
    registry.set_live(make_version("finance", "a"))
    registry.set_live(make_version("shop", "b"))
    return registry


async def test_two_servers_take_up_what_happens_to_keys(
    database_url: str, served: Registry, tmp_path: Path, figures: list[str]
) -> None:
    """A key that is made, rotated and revoked somewhere else: both servers notice."""
    with open_database(database_url) as office:
        async with (
            running(database_url, served, tmp_path) as one,
            running(database_url, served, tmp_path) as other,
        ):

            async def both(key: str, status: int) -> bool:
                return [await ask(http, key) for http in (one, other)] == [status] * 2

            made = make(office, adapters=("finance",))
            await until(lambda: both(made.text, 200))
            assert [await ask(http, made.text, "shop") for http in (one, other)] == [404, 404]

            rotated = office.write(partial(book.rotate, who="cli:ada", key="CI", overlap_s=600))
            await until(lambda: both(rotated.text, 200))
            assert await both(made.text, 200)

            office.write(partial(book.revoke, key="CI", who="admin"))
            took = await until(lambda: both(rotated.text, 401))
            assert await both(made.text, 401)
            assert await both("of the operator", 200)
            kind = database_url.partition(":")[0]
            figures.append(f"revoked on two servers over {kind}: {took:.2f} s")


async def test_requests_ask_the_database_nothing(
    database_url: str, served: Registry, tmp_path: Path
) -> None:
    """Two hundred requests, of right keys and of wrong ones: no statement of theirs."""
    asked: list[str] = []
    with open_database(database_url) as office:
        made = make(office, adapters=("finance",))
    async with running(database_url, served, tmp_path) as http:

        @event.listens_for(http.database.engine, "before_cursor_execute")  # type: ignore[attr-defined]
        def note(_: object, __: object, statement: str, *___: object) -> None:
            # The look at the counter goes on beside them.
            if statement != "BEGIN" and "counter" not in statement:
                asked.append(statement)

        for _ in range(50):
            assert await ask(http, made.text) == 200
            assert await ask(http, made.text, "shop") == 404
            assert await ask(http, made.text[:-1]) == 401
            headers = {"x-api-key": made.text}
            assert (await http.get("/v1/models", headers=headers)).status_code == 200
    assert asked == []


@asynccontextmanager
async def running_with_everything(
    url: str, registry: Registry, store: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """A server that keeps limits and usage, too; nothing of it follows the database."""
    settings = settings_of(store, url)
    metrics = Metrics(CollectorRegistry())
    engine = FakeEngine()
    engine.prompt_tokens = 20
    async with AsyncExitStack() as stack:
        accounts = stack.enter_context(open_accounts(settings))
        assert isinstance(accounts, Accounts)
        recorder = choose_recorder(settings, accounts, metrics)
        stack.callback(recorder.stop, PATIENCE_S)
        keeper = LimitKeeper(accounts.database, metrics)
        parts = parts_over(
            registry,
            engine=engine,
            metrics=metrics,
            usage=recorder,
            allowances=keeper.allowances,
        )
        app = make_app(parts, AccountGate(accounts.keys, Keyring()))
        http = await stack.enter_async_context(client_of(app))
        http.database = accounts.database  # type: ignore[attr-defined]
        http.usage = recorder  # type: ignore[attr-defined]
        yield http


async def test_requests_with_every_limit_ask_the_database_nothing(
    database_url: str, served: Registry, tmp_path: Path
) -> None:
    """What they use is let through from memory, and written behind them by a thread of its own."""
    key = make_limited_key(database_url, ("finance",))
    async with running_with_everything(database_url, served, tmp_path) as http:
        # The first one asks for what all limits have for this server.
        assert await ask(http, key) == 200
        threads: Counter[str] = Counter()

        @event.listens_for(http.database.engine, "before_cursor_execute")  # type: ignore[attr-defined]
        def note(*_: object) -> None:
            threads[threading.current_thread().name] += 1

        for _ in range(200):
            assert await ask(http, key) == 200
        assert http.usage.flush(PATIENCE_S)  # type: ignore[attr-defined]
    assert set(threads) == {"lorabay-usage database"}


@pytest.mark.parametrize("fault", ["PRAGMA query_only = ON", "PRAGMA max_page_count = 1"])
async def test_requests_go_on_while_the_database_takes_nothing(
    sqlite_url: str, served: Registry, tmp_path: Path, fault: str
) -> None:
    """It has become read-only, or its disk is full: what was used is written when it takes it."""
    key = make_limited_key(sqlite_url, ("finance",))
    async with running_with_everything(sqlite_url, served, tmp_path) as http:
        assert await ask(http, key) == 200
        faults = [fault]

        @event.listens_for(http.database.engine, "checkout")  # type: ignore[attr-defined]
        def spoil(connection: Any, *_: object) -> None:
            connection.execute(faults[0])

        statuses = [await ask(http, key) for _ in range(300)]
        assert not http.usage.flush(0.5)  # type: ignore[attr-defined]
        faults[0] = (
            "PRAGMA query_only = OFF" if "query" in fault else "PRAGMA max_page_count = 9999"
        )
        assert http.usage.flush(PATIENCE_S)  # type: ignore[attr-defined]
        found = http.database.read(partial(report, question=Question()))  # type: ignore[attr-defined]
    assert set(statuses) == {200}
    assert found.total.tokens.requests == 301


async def test_keys_open_nothing_when_the_database_was_away_for_too_long(
    sqlite_url: str, served: Registry
) -> None:
    """503, and when to ask again: how long that is, is a setting."""
    now = [0.0]
    with open_database(sqlite_url) as database:
        made = make(database)
        keys = KeySnapshot(database, max_age_s=600, clock=lambda: now[0])
        keys.load()
        async with client_of(
            make_app(parts_over(served), AccountGate(keys, Keyring("of the operator")))
        ) as http:
            now[0] = 599.0
            assert await ask(http, made.text) == 200
            now[0] = 601.0
            headers = {"authorization": f"Bearer {made.text}"}
            refused = await http.post(CHAT.path, json={"model": "finance"}, headers=headers)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            assert refused.json()["error"]["code"] == "storage_unavailable"
            assert await ask(http, "of the operator") == 200


async def test_requests_go_on_while_the_database_is_away(
    postgres_url: str, postgres_server: PostgresServer, served: Registry, tmp_path: Path
) -> None:
    """None fails; a change waits until it is back, and holds then."""
    with open_database(postgres_url) as office:
        made = make(office)
        async with running(postgres_url, served, tmp_path) as http:
            postgres_server.stop()
            try:
                with pytest.raises(SetupError):
                    office.write(partial(book.revoke, key="CI", who="admin"))
                for _ in range(50):
                    assert await ask(http, made.text) == 200
            finally:
                postgres_server.start()
            office.write(partial(book.revoke, key="CI", who="admin"))

            async def refused() -> bool:
                return await ask(http, made.text) == 401

            await until(refused)
