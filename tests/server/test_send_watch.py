"""How long a client may leave its answer lying."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from lorabay.server.send_watch import PROGRESS_BYTES, SendWatch
from tests.server.fake_transport import FakeTransport


class Protocol(asyncio.Protocol):
    """Hands the transport's calls on to a watch, as the real one does."""

    def __init__(self, timeout_s: float) -> None:
        self.transport = FakeTransport(reads=False)
        self.has_given_up = False
        self.watch = SendWatch(self.transport, timeout_s, self.give_up)
        self.transport.connect(self)
        self.transport.set_write_buffer_limits(high=100_000, low=50_000)

    def give_up(self) -> None:
        self.has_given_up = True

    def pause_writing(self) -> None:
        self.watch.pause()

    def resume_writing(self) -> None:
        self.watch.resume()


@pytest.fixture
async def slow() -> Protocol:
    slow = Protocol(10.0)
    slow.watch.begin(paused=False)
    return slow


async def test_a_full_buffer_is_waited_for_once(slow: Protocol) -> None:
    """Whoever makes the answer waits for the limit and no longer."""
    slow.transport.write(bytes(200_000))
    await asyncio.sleep(9.9)
    assert not slow.has_given_up
    await asyncio.sleep(0.2)
    assert slow.has_given_up


async def test_waits_of_one_answer_add_up(slow: Protocol) -> None:
    """A client that reads a little whenever its time is nearly over gains nothing."""
    for _ in range(3):
        slow.transport.write(bytes(100_001))
        await asyncio.sleep(3)
        slow.transport.take(100_001)
        await asyncio.sleep(30)
        assert not slow.has_given_up
    slow.transport.write(bytes(100_001))
    await asyncio.sleep(1.1)
    assert slow.has_given_up


async def test_the_next_answer_has_its_own_time(slow: Protocol) -> None:
    """What a client used up for one answer is not held against it later."""
    slow.transport.write(bytes(100_001))
    await asyncio.sleep(9)
    slow.watch.begin(paused=True)
    await asyncio.sleep(9)
    assert not slow.has_given_up
    await asyncio.sleep(1.1)
    assert slow.has_given_up


async def test_a_client_that_reads_has_all_the_time(slow: Protocol) -> None:
    """An answer that never fills the buffer is never waited for."""
    for _ in range(20):
        slow.transport.write(bytes(90_000))
        await asyncio.sleep(20)
        slow.transport.take(90_000)
    slow.watch.end()
    await asyncio.sleep(100)
    assert not slow.has_given_up


def pieces(total: int, piece: int) -> Iterator[int]:
    while total > 0:
        yield min(piece, total)
        total -= piece


async def test_the_rest_of_an_answer_may_be_taken_slowly(slow: Protocol) -> None:
    """Once it is complete, a client that goes on reading gets all of it, however long it takes."""
    slow.transport.write(bytes(1_000_000))
    slow.watch.end()
    for piece in pieces(1_000_000, PROGRESS_BYTES + 100):
        await asyncio.sleep(9)
        slow.transport.take(piece)
    await asyncio.sleep(100)
    assert not slow.has_given_up


@pytest.mark.parametrize("trickle", [0, 100])
async def test_the_rest_of_an_answer_is_not_kept_for_ever(slow: Protocol, trickle: int) -> None:
    """A client that stops, or reads next to nothing, is given up."""
    slow.transport.write(bytes(1_000_000))
    slow.watch.end()
    for _ in range(10):
        await asyncio.sleep(1.1)
        slow.transport.take(trickle)
    assert slow.has_given_up


async def test_a_small_rest_has_to_be_taken_as_a_whole(slow: Protocol) -> None:
    """Less than the least step is asked for only as far as it is there."""
    slow.transport.write(bytes(500))
    slow.watch.end()
    await asyncio.sleep(9)
    slow.transport.take(500)
    await asyncio.sleep(100)
    assert not slow.has_given_up


async def test_a_connection_that_ended_is_not_watched(slow: Protocol) -> None:
    """Nothing is given up afterwards."""
    slow.transport.write(bytes(200_000))
    slow.watch.stop()
    slow.watch.stop()
    await asyncio.sleep(100)
    assert not slow.has_given_up
