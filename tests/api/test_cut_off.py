"""Requests that the end of the server cuts off."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lorabay.api.cut_off import CutOff
from lorabay.api.front import front_of
from lorabay.api.hosts import AllowedHosts
from lorabay.catalog.registry.registry import Registry
from lorabay.serving.engine import Answer, AnswerStream, Body
from tests.api.conftest import FINANCE, make_app, parts_over
from tests.api.connection import Connection
from tests.fake_engine import FakeEngine

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


async def never(body: Body) -> Answer | AnswerStream:
    await asyncio.Event().wait()
    raise AssertionError


async def test_an_answer_that_has_not_begun_is_503(registry: Registry) -> None:
    """The client may ask another server; nothing is left behind."""
    registry.set_live(FINANCE)
    engine = FakeEngine(never)
    front = front_of(AllowedHosts((), open_to_all=True))
    app = make_app(parts_over(registry, engine=engine), middleware=front)
    connection = Connection(app, "/tokenize", {"content-type": "application/json"})
    connection.send(b'{"model": "finance"}')
    while not engine.asked:
        await asyncio.sleep(0)
    connection.task.cancel()
    await connection.ended()
    assert connection.code == 503
    assert b"engine_unavailable" in connection.body
    assert registry.leases(FINANCE) == 0


async def test_an_answer_that_has_begun_stays_without_its_end() -> None:
    """A client that waits for the rest learns of the cut by the end of its connection."""

    async def begin(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.Event().wait()

    connection = Connection(CutOff(begin), "/", {})
    await connection.message()
    connection.task.cancel()
    await connection.ended()
    assert (connection.code, connection.body) == (200, b"")


async def test_a_failure_is_not_taken_for_a_cut() -> None:
    """It goes where failures go."""

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise KeyError("x")

    connection = Connection(CutOff(fail), "/", {})
    with pytest.raises(KeyError):
        await connection.ended()
