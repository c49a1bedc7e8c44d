"""A stream that tells how it ended."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from lorabay.serving.supervision.watched_stream import WatchedStream
from tests.fake_stream import USAGE, FakeStream, words


@pytest.fixture
def ends() -> list[bool]:
    return []


async def test_a_stream_that_is_read_to_its_end_is_done(ends: list[bool]) -> None:
    """Every event passes; closing it afterwards says nothing new to whoever counts the first."""
    inner = FakeStream(words("finance"))
    stream = WatchedStream(inner, ends.append)
    events = [event async for event in stream]
    assert events == [event async for event in words("finance")]
    assert ends == [True]
    await stream.aclose()
    assert ends[0]
    assert inner.closed == 1
    assert stream.usage == USAGE


async def test_a_stream_that_is_closed_early_is_not_done(ends: list[bool]) -> None:
    """Nobody reads on."""
    stream = WatchedStream(FakeStream(words("finance")), ends.append)
    await anext(aiter(stream))
    assert ends == []
    await stream.aclose()
    assert ends == [False]


async def test_a_stream_that_fails_is_not_done(ends: list[bool]) -> None:
    """The failure passes, and closing tells the end."""

    async def broken() -> AsyncGenerator[bytes, None]:
        yield b"1"
        raise ValueError("broken")

    stream = WatchedStream(FakeStream(broken()), ends.append)
    with pytest.raises(ValueError, match="broken"):
        _ = [event async for event in stream]
    await stream.aclose()
    assert ends == [False]


async def test_the_end_is_told_although_closing_fails(ends: list[bool]) -> None:
    """Otherwise its request would count as running for ever."""

    class Stubborn(FakeStream):
        async def aclose(self) -> None:
            raise RuntimeError("cannot close")

    stream = WatchedStream(Stubborn(words("finance")), ends.append)
    with pytest.raises(RuntimeError):
        await stream.aclose()
    assert ends == [False]
