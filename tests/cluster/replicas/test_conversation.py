"""A front's side of one request."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

import pytest

from lorabay.cluster.replicas.conversation import Conversation
from lorabay.cluster.replicas.messages import (
    Begun,
    Counted,
    Died,
    Event,
    Failed,
    Message,
    PromptRead,
    Spent,
    Whole,
)
from lorabay.errors import EngineUnavailable, RateLimited
from lorabay.serving.engine import Answer, Meter, Usage


class Batches:
    """Batches of messages, that know whether they were closed."""

    def __init__(self, *batches: list[Message]) -> None:
        self.closed = False
        self.stream = self._run(batches)

    async def _run(self, batches: tuple[list[Message], ...]) -> AsyncGenerator[list[Message]]:
        try:
            for batch in batches:
                yield batch
        finally:
            self.closed = True


async def test_a_stream_is_what_was_sent() -> None:
    """The meter hears of the prompt, and the usage is the last that was told."""
    batches = Batches(
        [Counted(7), PromptRead(), Begun(), Event(b"a")],
        [Event(b"b"), Spent(Usage(7, 2))],
    )
    heard: list[object] = []

    async def admit(tokens: int) -> None:
        heard.append(tokens)

    meter = Meter(admit=admit, was_read=lambda: heard.append("read"))
    conversation = Conversation(batches.stream, meter)
    stream = await conversation.answer()
    assert not isinstance(stream, Answer)
    assert heard == [7, "read"]
    assert [event async for event in stream] == [b"a", b"b"]
    assert stream.usage == meter.read() == Usage(7, 2)


async def test_a_whole_answer_comes_with_its_usage() -> None:
    """Times are those of this machine."""
    usage = Usage(5, 3, begun_at=1000.0)
    batches = Batches([Whole(Answer(b"{}", usage), sent_at=1001.0)])
    answer = await Conversation(batches.stream, Meter()).answer()
    assert isinstance(answer, Answer)
    assert answer.content == b"{}"
    assert answer.usage.begun_at == pytest.approx(time.monotonic() - 1, abs=0.5)
    assert batches.closed


async def test_what_the_meter_forbids_ends_the_request() -> None:
    """The replica is told at once, by closing."""

    async def admit(tokens: int) -> None:
        raise RateLimited("too many tokens")

    batches = Batches([Counted(10_000)], [Begun()])
    with pytest.raises(RateLimited):
        await Conversation(batches.stream, Meter(admit=admit)).answer()
    assert batches.closed


async def test_failures_are_raised_where_they_come() -> None:
    """Before the stream by `answer`, within it where it is read."""
    gone = EngineUnavailable("gone")
    with pytest.raises(EngineUnavailable, match="gone"):
        await Conversation(Batches([Failed(gone)]).stream, Meter()).answer()

    stream = await Conversation(
        Batches([Begun(), Event(b"a")], [Failed(gone)]).stream, Meter()
    ).answer()
    events = aiter(stream)  # type: ignore[arg-type]
    assert await anext(events) == b"a"
    with pytest.raises(EngineUnavailable, match="gone"):
        await anext(events)


async def test_the_meter_hears_of_a_death_before_the_request_fails() -> None:
    """And of no other failure."""
    heard: list[int] = []
    for last in (Failed(EngineUnavailable("gone")), Died(EngineUnavailable("gone"), 7)):
        batches = Batches([Begun(), last])
        stream = await Conversation(batches.stream, Meter(died=heard.append)).answer()
        with pytest.raises(EngineUnavailable, match="gone"):
            await anext(aiter(stream))  # type: ignore[arg-type]
    assert heard == [7]


async def test_a_replica_that_says_nothing_has_failed() -> None:
    with pytest.raises(EngineUnavailable, match="without an answer"):
        await Conversation(Batches().stream, Meter()).answer()


async def test_closing_early_closes_the_way() -> None:
    batches = Batches([Begun()], [Event(b"a")])
    stream = await Conversation(batches.stream, Meter()).answer()
    await stream.aclose()  # type: ignore[union-attr]
    await stream.aclose()  # type: ignore[union-attr]
    assert batches.closed
