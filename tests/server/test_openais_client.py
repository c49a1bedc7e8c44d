"""OpenAI's own client and a whole server over sockets: what it makes of a limit."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest

from lorabay.accounts.database.database import open_database
from lorabay.accounts.keys import book
from lorabay.accounts.keys.wishes import KeyWishes
from lorabay.accounts.limits import Limits
from lorabay.accounts.place import FILE_NAME
from lorabay.server.accounts import open_accounts
from lorabay.serving.engine import Answer, Body, Usage
from lorabay.settings import Settings
from tests.fake_engine import FakeEngine
from tests.server.directories import changed
from tests.server.test_server import PATIENCE_S, Running, end

pytestmark = pytest.mark.usefixtures("own_signals")

LIMITS = Limits(parallel=1, requests_per_minute=100, tokens_per_minute=10_000)


def ask(client: openai.OpenAI, words: str) -> Any:
    """Return an answer with its headers."""
    return client.chat.completions.with_raw_response.create(
        model="finance", messages=[{"role": "user", "content": words}], max_tokens=5
    )


def test_it_waits_as_long_as_it_is_told_and_reads_what_is_left(
    settings: Settings, database_folder: Path
) -> None:
    """A key that runs one request at once: the second one is refused, comes again after the time
    that it was told, and is answered; its program sees nothing but the headers.
    """
    place = database_folder / FILE_NAME
    with open_database(place) as database:
        wishes = KeyWishes("CI", limits=LIMITS)
        made = database.write(partial(book.create, wishes=wishes, who="cli"))

    first_runs, may_end = threading.Event(), threading.Event()

    async def reply(body: Body) -> Answer:
        if body["messages"][0]["content"] == "stay":
            first_runs.set()
            await asyncio.to_thread(may_end.wait, PATIENCE_S)
        return Answer(b'{"choices": []}', Usage(10, 5))

    came: list[tuple[float, Any]] = []

    def note(response: Any) -> None:
        came.append((time.monotonic(), response))
        if response.status_code == 429:
            may_end.set()

    def use(url: str) -> Any:
        hooks: Any = {"response": [note]}
        http = openai.DefaultHttpxClient(event_hooks=hooks)
        with (
            openai.OpenAI(base_url=url, api_key=made.text, http_client=http) as client,
            ThreadPoolExecutor(1) as pool,
        ):
            first = pool.submit(ask, client, "stay")
            assert first_runs.wait(PATIENCE_S)
            second = ask(client, "go")
            first.result(PATIENCE_S)
            return second

    with open_accounts(changed(settings, database=f"sqlite:///{place}")) as accounts:
        running = Running(settings, FakeEngine(reply), accounts)

        def client() -> Any:
            try:
                running.wait_until(200)
                return use(f"{running.url}/v1")
            finally:
                end()

        answered = running.serve(client).result()

    [(refused_at, refused)] = [one for one in came if one[1].status_code == 429]
    told_s = float(refused.headers["retry-after-ms"]) / 1000
    assert float(refused.headers["retry-after"]) >= told_s >= 1.0
    again_at, _ = came[-1]
    assert again_at - refused_at >= told_s
    assert answered.status_code == 200
    assert answered.headers["x-ratelimit-limit-requests"] == "100"
    assert answered.headers["x-ratelimit-remaining-requests"] == "98"
    assert 0 < int(answered.headers["x-ratelimit-remaining-tokens"]) < 10_000
