"""Where a front hears replicas: who is gone or silent, and who is no replica."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lorabay.cluster.replicas.frames import FrontAddress, Over, Taken, packed
from lorabay.cluster.replicas.inbox import KEY_BYTES, Inbox, Mailbox, gone
from lorabay.cluster.replicas.messages import Begun, Died, Event, Failed, Message
from lorabay.errors import EngineUnavailable


@asynccontextmanager
async def opened(silent_s: float = 60.0) -> AsyncIterator[Inbox]:
    inbox = Inbox(silent_s)
    await inbox.open("127.0.0.1")
    yield inbox
    await inbox.close()


async def connected(front: FrontAddress, key: bytes | None = None) -> asyncio.StreamWriter:
    """A connection to a front, with its key shown."""
    _, writer = await asyncio.open_connection(front.host, front.port)
    writer.write(front.key if key is None else key)
    return writer


async def collected(mailbox: Mailbox) -> list[Message]:
    return [message async for batch in mailbox for message in batch]


async def test_each_request_has_what_is_its_own() -> None:
    """One frame has messages of two; what comes for one that has left is dropped."""
    async with opened() as inbox:
        with inbox.mailbox() as left:
            pass
        with inbox.mailbox() as one, inbox.mailbox() as other:
            replica = await connected(one.reply_to.front)
            first, second = one.reply_to.number, other.reply_to.number
            begun = [(number, Begun()) for number in (first, second, left.reply_to.number)]
            replica.write(packed([(first, Taken()), (second, Taken()), *begun]))
            replica.write(packed([(first, Event(b"1")), (second, Event(b"2")), (first, Over())]))
            replica.write(packed([(second, Event(b"3")), (second, Over())]))
            assert await collected(one) == [Begun(), Event(b"1")]
            assert await collected(other) == [Begun(), Event(b"2"), Event(b"3")]
            replica.close()


async def test_a_broken_connection_fails_what_was_under_way() -> None:
    """What has arrived is heard first; what is over stays so."""
    async with opened() as inbox:
        with inbox.mailbox() as over, inbox.mailbox() as running:
            replica = await connected(over.reply_to.front)
            done, number = over.reply_to.number, running.reply_to.number
            replica.write(packed([(done, Taken()), (number, Taken()), (number, Begun())]))
            replica.write(packed([(done, Over())]))
            replica.close()
            begun, failed = await collected(running)
            assert begun == Begun()
            assert isinstance(failed, Died)
            assert _is_gone(failed, "is gone")
            assert await collected(over) == []


async def test_who_died_together_is_known() -> None:
    """By the replica, whether that told of its engine's death or was cut off itself."""
    async with opened() as inbox:
        with inbox.mailbox() as told, inbox.mailbox() as cut, inbox.mailbox() as other:
            numbers = [one.reply_to.number for one in (told, cut, other)]
            first = await connected(told.reply_to.front)
            second = await connected(told.reply_to.front)
            first.write(packed([(numbers[0], Taken()), (numbers[1], Taken())]))
            second.write(packed([(numbers[2], Taken())]))
            for replica, number in ((first, numbers[0]), (second, numbers[2])):
                replica.write(packed([(number, Died(gone("is dead"))), (number, Over())]))
            first.close()
            second.close()
            died = [(await collected(mailbox))[0] for mailbox in (told, cut, other)]
            replicas = [one.replica for one in died if isinstance(one, Died)]
            assert replicas[0] == replicas[1] != replicas[2]


async def test_a_silent_replica_is_given_up() -> None:
    """Its connection stays, as that of a host does that is cut off; that is nobody's death."""
    async with opened(silent_s=0.05) as inbox:
        with inbox.mailbox() as mailbox:
            replica = await connected(mailbox.reply_to.front)
            replica.write(packed([(mailbox.reply_to.number, Taken())]))
            (failed,) = await collected(mailbox)
            assert isinstance(failed, Failed)
            assert _is_gone(failed, "has been silent for 0.05 s")
            replica.close()


async def test_signs_of_life_keep_a_request() -> None:
    """It may take any time."""
    async with opened(silent_s=0.2) as inbox:
        with inbox.mailbox() as mailbox:
            number = mailbox.reply_to.number
            replica = await connected(mailbox.reply_to.front)
            replica.write(packed([(number, Taken())]))
            for _ in range(6):
                await asyncio.sleep(0.05)
                replica.write(packed([]))
            replica.write(packed([(number, Over())]))
            assert await collected(mailbox) == []
            replica.close()


async def test_a_request_that_no_replica_has_yet_is_not_silent() -> None:
    """It waits in the cluster's queue, behind others."""
    async with opened(silent_s=0.05) as inbox:
        with inbox.mailbox() as mailbox:
            collecting = asyncio.create_task(collected(mailbox))
            await asyncio.sleep(0.15)
            assert not collecting.done()
            mailbox.end()
            assert await collecting == []


async def test_without_the_key_nothing_is_read() -> None:
    """A pickle can do anything when it is read."""
    async with opened() as inbox:
        with inbox.mailbox() as mailbox:
            front, number = mailbox.reply_to.front, mailbox.reply_to.number
            reader, writer = await asyncio.open_connection(front.host, front.port)
            writer.write(b"0" * KEY_BYTES + packed([(number, Taken()), (number, Over())]))
            assert await reader.read() == b""
            writer.close()

            collecting = asyncio.create_task(collected(mailbox))
            await asyncio.sleep(0.05)
            assert not collecting.done()
            mailbox.end()
            await collecting


def _is_gone(message: Message, why: str) -> bool:
    assert isinstance(message, Failed | Died)
    assert isinstance(message.error, EngineUnavailable)
    assert message.error.retry_after is not None
    return why in message.error.message
