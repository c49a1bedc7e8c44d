"""The way to replicas over Ray: how answers arrive, and what its failures mean."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, RayTaskError

from lorabay.cluster.choice.choice import Wish
from lorabay.cluster.ray_serve.line import RayLine
from lorabay.cluster.replicas.frames import ReplyTo
from lorabay.cluster.replicas.messages import Begun, Failed, Message, Question
from lorabay.cluster.replicas.outbox import Outboxes
from lorabay.errors import AdapterRejected, EngineUnavailable, SetupError

QUESTION = Question(Wish("d"), "chat", {}, None, "r", {}, False)


class Call:
    """What a handle gives for a call: it runs until it is ended, cancelled or fails."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.made: asyncio.Future[ReplyTo] = loop.create_future()
        self.over: asyncio.Future[None] = loop.create_future()

    def __await__(self) -> Generator[Any, None, None]:
        return self.over.__await__()

    def cancel(self) -> None:
        self.over.cancel()


class Handle:
    """A handle of which one call is made, and whose broadcasts have these results."""

    def __init__(self, call: Call | None = None, results: Sequence[Any] = ()) -> None:
        self._call = call
        self._results = list(results)

    def options(self, **_: Any) -> Any:
        return SimpleNamespace(remote=self._remote)

    def broadcast(self, *_: Any) -> Any:
        async def results_async(return_exceptions: bool) -> list[Any]:
            return self._results

        return SimpleNamespace(results_async=results_async)

    def _remote(self, question: Question, reply_to: ReplyTo) -> Call:
        assert self._call is not None
        self._call.made.set_result(reply_to)
        return self._call


@asynccontextmanager
async def opened(handle: Handle) -> AsyncIterator[RayLine]:
    cluster = SimpleNamespace(
        join=lambda: None, deploy=lambda: handle, host=lambda: "127.0.0.1", end=lambda: None
    )
    line = RayLine(cluster)  # type: ignore[arg-type]
    await line.open()
    yield line
    await line.close()


async def heard(line: RayLine) -> list[Message]:
    return [message async for batch in line.ask(QUESTION) for message in batch]


async def test_an_answer_comes_over_the_replicas_own_connection() -> None:
    """And the call is left to end by itself."""
    call = Call()
    async with opened(Handle(call)) as line:
        hearing = asyncio.create_task(heard(line))
        reply_to = await call.made
        outbox = await Outboxes().to(reply_to.front)
        with outbox.answering(reply_to) as send:
            send(Begun())
        assert await hearing == [Begun()]
        assert not call.over.done()
        await outbox.close()


async def test_a_dead_replica_is_unavailable() -> None:
    """Ray tells that the call has failed."""
    call = Call()
    async with opened(Handle(call)) as line:
        hearing = asyncio.create_task(heard(line))
        await call.made
        call.over.set_exception(ActorDiedError())
        (failed,) = await hearing
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, EngineUnavailable)
        assert "gone; ask again" in failed.error.message


async def test_a_call_whose_answer_never_comes_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection broke, and nobody saw it."""
    monkeypatch.setattr("lorabay.cluster.ray_serve.line.LAST_S", 0.01)
    call = Call()
    async with opened(Handle(call)) as line:
        hearing = asyncio.create_task(heard(line))
        await call.made
        call.over.set_result(None)
        (failed,) = await hearing
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, EngineUnavailable)


async def test_any_failure_of_a_call_is_told() -> None:
    """Also one that Ray does not name."""
    call = Call()
    async with opened(Handle(call)) as line:
        hearing = asyncio.create_task(heard(line))
        await call.made
        call.over.set_exception(OSError("no route"))
        (failed,) = await hearing
        assert isinstance(failed, Failed)


async def test_leaving_early_cancels_in_the_replica() -> None:
    call = Call()
    async with opened(Handle(call)) as line:
        hearing = asyncio.create_task(heard(line))
        await call.made
        hearing.cancel()
        await asyncio.wait({hearing})
        assert call.over.cancelled()


async def test_an_expected_failure_of_one_is_raised() -> None:
    """One that is gone meanwhile is left out."""
    rejected = AdapterRejected("finance", ("rank",))
    told = RayTaskError("f", "traceback", rejected).as_instanceof_cause()
    async with opened(Handle(results=[True, told])) as line:
        with pytest.raises(AdapterRejected, match="rank"):
            await line.tell_all("prepare_successor")

    async with opened(Handle(results=[True, ActorDiedError()])) as line:
        assert await line.tell_all("facts") == [True]


async def test_nothing_can_be_asked_before_it_is_open() -> None:
    line = RayLine(SimpleNamespace(end=lambda: None))  # type: ignore[arg-type]
    with pytest.raises(EngineUnavailable, match="no replica"):
        await line.tell_all("facts")
    await line.close()


async def test_the_end_reaches_a_deployment_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens may have been cancelled; the thread that deploys cannot be.

    The signal that asks for it is the server's again by then, not Ray's.
    """
    began, ended = threading.Event(), threading.Event()
    handlers: list[object] = []
    taken = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(signal, "signal", lambda number, handler: handlers.append(handler))

    def join() -> None:
        assert handlers == []

    def deploy() -> None:
        assert taken in handlers
        began.set()
        assert ended.wait(10)
        raise SetupError("ended")

    line = RayLine(SimpleNamespace(join=join, deploy=deploy, end=ended.set))  # type: ignore[arg-type]
    opening = asyncio.create_task(line.open())
    await asyncio.to_thread(began.wait, 10)
    opening.cancel()
    await asyncio.wait({opening})
    await line.close()
    assert ended.is_set()
