"""How a replica answers fronts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from lorabay.cluster.replicas.frames import FrontAddress, ReplyTo
from lorabay.cluster.replicas.inbox import Inbox
from lorabay.cluster.replicas.messages import Begun, Event, Message
from lorabay.cluster.replicas.outbox import Outbox, Outboxes
from lorabay.errors import EngineUnavailable


@asynccontextmanager
async def opened() -> AsyncIterator[Inbox]:
    inbox = Inbox()
    await inbox.open("127.0.0.1")
    yield inbox
    await inbox.close()


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_true():
            await asyncio.sleep(0.001)


async def test_requests_of_a_front_share_a_connection() -> None:
    """Each has its own messages, in order, and its end."""
    outboxes = Outboxes()
    async with opened() as inbox:
        with inbox.mailbox() as one, inbox.mailbox() as other:
            outbox = await outboxes.to(one.reply_to.front)
            assert await outboxes.to(other.reply_to.front) is outbox
            with (
                outbox.answering(one.reply_to) as first,
                outbox.answering(other.reply_to) as second,
            ):
                for number in range(3):
                    first(Event(b"%d" % number))
                    second(Begun())
            events: list[Message] = [message async for batch in one for message in batch]
            assert events == [Event(b"0"), Event(b"1"), Event(b"2")]
            assert [message async for batch in other for message in batch] == [Begun()] * 3
        await outboxes.close()


async def test_each_front_has_its_own() -> None:
    outboxes = Outboxes()
    async with opened() as inbox, opened() as another:
        with inbox.mailbox() as one, another.mailbox() as other:
            for mailbox in (one, other):
                front = mailbox.reply_to.front
                outbox = await outboxes.to(front)
                with outbox.answering(mailbox.reply_to) as send:
                    assert outboxes.answers() == {front.name: 1}
                    send(Event(front.key))
            assert outboxes.answers() == {}
            for mailbox in (one, other):
                (batch,) = [batch async for batch in mailbox]
                assert batch == [Event(mailbox.reply_to.front.key)]
        await outboxes.close()


async def connected_to_a_front_that_ends() -> tuple[Outbox, ReplyTo]:
    """Return a connection whose front has ended, which it may not have noticed yet."""
    outboxes = Outboxes(beat_s=0.01)
    async with opened() as inbox:
        with inbox.mailbox() as mailbox:
            reply_to = mailbox.reply_to
            outbox = await outboxes.to(reply_to.front)
    return outbox, reply_to


async def test_sending_to_a_front_that_is_gone_fails() -> None:
    """So the generation ends that nobody hears."""
    outbox, reply_to = await connected_to_a_front_that_ends()
    with outbox.answering(reply_to) as send:
        await until(lambda: not outbox.is_open)
        with pytest.raises(EngineUnavailable, match="front that asked"):
            send(Begun())


async def test_work_that_no_front_hears_is_cancelled() -> None:
    """An answer in one piece sends nothing until its end."""
    outbox, reply_to = await connected_to_a_front_that_ends()
    with outbox.answering(reply_to), pytest.raises(EngineUnavailable, match="front that asked"):
        async with asyncio.timeout(10):
            await outbox.while_heard(asyncio.sleep(1000))


async def test_work_that_is_heard_ends_as_it_ends() -> None:
    outboxes = Outboxes()

    async def fails() -> None:
        raise ValueError

    async with opened() as inbox:
        with inbox.mailbox() as mailbox:
            outbox = await outboxes.to(mailbox.reply_to.front)
            with outbox.answering(mailbox.reply_to):
                await outbox.while_heard(asyncio.sleep(0))
                with pytest.raises(ValueError):  # noqa: PT011 - the very one
                    await outbox.while_heard(fails())
        await outboxes.close()


async def test_all_that_ask_share_an_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many requests of a front that is gone do not wait for it one after the other."""
    attempts = 0

    async def connect(*_: Any, **__: Any) -> Any:
        nonlocal attempts
        attempts += 1
        await asyncio.sleep(0)
        raise OSError

    monkeypatch.setattr(asyncio, "open_connection", connect)
    outboxes, front = Outboxes(), FrontAddress("127.0.0.1", 1, b"")
    asked = [asyncio.create_task(outboxes.to(front)) for _ in range(5)]
    await asyncio.wait(asked)
    assert all(isinstance(one.exception(), EngineUnavailable) for one in asked)
    assert attempts == 1


async def test_an_unreachable_front_is_told() -> None:
    nobody = FrontAddress("127.0.0.1", 1, b"key")
    with pytest.raises(EngineUnavailable, match="front that asked"):
        await Outboxes().to(nobody)


async def test_a_front_that_does_not_answer_holds_up_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one whose host is cut off."""
    cut_off = FrontAddress("127.0.0.1", 1, b"key")
    connect = asyncio.open_connection

    async def open_connection(host: str, port: int, **more: Any) -> Any:
        if port == cut_off.port:
            await asyncio.Event().wait()
        return await connect(host, port, **more)

    monkeypatch.setattr(asyncio, "open_connection", open_connection)
    outboxes = Outboxes()
    waiting = asyncio.create_task(outboxes.to(cut_off))
    await asyncio.sleep(0)
    async with opened() as inbox, asyncio.timeout(2):
        with inbox.mailbox() as mailbox:
            assert (await outboxes.to(mailbox.reply_to.front)).is_open
        await outboxes.close()
    waiting.cancel()
    await asyncio.wait({waiting})


async def test_an_idle_connection_is_closed_and_opened_again() -> None:
    """At the first sign of life that nobody needs."""
    outboxes = Outboxes(beat_s=0.01)
    async with opened() as inbox:
        with inbox.mailbox() as mailbox:
            reply_to: ReplyTo = mailbox.reply_to
            outbox = await outboxes.to(reply_to.front)
            await until(lambda: not outbox.is_open)
            again = await outboxes.to(reply_to.front)
            assert again is not outbox
            with again.answering(reply_to) as send:
                send(Begun())
            assert [message async for batch in mailbox for message in batch] == [Begun()]
        await outboxes.close()
