"""Waiting for work and for the client to leave, at the same time."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message

from lorabay.api.disconnects import ClientGone, unless_disconnected, until_disconnect
from tests.api.connection import PATIENCE_S


class Client:
    """A client whose messages a test sends one by one."""

    def __init__(self, *kinds: str) -> None:
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        for kind in kinds:
            self.send(kind)

    def send(self, kind: str) -> None:
        self._messages.put_nowait({"type": kind})

    async def receive(self) -> Message:
        return await self._messages.get()


async def test_only_a_disconnect_ends_the_waiting() -> None:
    """Further pieces of a request say nothing about the connection."""
    client = Client("http.request", "http.request")
    waiting = asyncio.create_task(until_disconnect(client.receive))
    done, _ = await asyncio.wait({waiting}, timeout=0)
    assert not done
    client.send("http.disconnect")
    await asyncio.wait_for(waiting, PATIENCE_S)


async def test_work_that_ends_first_gives_its_result() -> None:
    """A client that stays gets its answer, and no task goes on listening to it."""
    client = Client()

    async def work() -> str:
        return "answer"

    before = asyncio.all_tasks()
    assert await unless_disconnected(client.receive, work()) == "answer"
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_work_that_fails_raises_its_failure() -> None:
    """A failure of the work is raised as if it had been awaited directly."""

    async def work() -> str:
        raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"):
        await unless_disconnected(Client().receive, work())


async def test_a_client_that_leaves_cancels_the_work_and_waits_for_its_end() -> None:
    """ClientGone is raised only after the cancelled work has cleaned up."""
    client, cleaned = Client(), asyncio.Event()

    async def work() -> None:
        client.send("http.disconnect")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.set()

    with pytest.raises(ClientGone):
        await unless_disconnected(client.receive, work())
    assert cleaned.is_set()


async def test_a_failure_during_the_cancelled_cleanup_is_still_a_disconnect() -> None:
    """A failure after the client left does not hide that it left."""
    client = Client("http.disconnect")

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("while cleaning up")

    with pytest.raises(ClientGone):
        await unless_disconnected(client.receive, work())


async def test_being_cancelled_cancels_the_work() -> None:
    """Work ends when the handler itself is cancelled."""
    begun, cleaned = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    handler = asyncio.create_task(unless_disconnected(Client().receive, work()))
    await begun.wait()
    handler.cancel()
    with pytest.raises(asyncio.CancelledError):
        await handler
    assert cleaned.is_set()
