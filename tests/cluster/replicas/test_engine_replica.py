"""One replica: it loads what it is asked for, answers, and ends what nobody wants any more."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from lorabay.catalog.versions import Version
from lorabay.cluster.choice.choice import Wish
from lorabay.cluster.replicas.engine_replica import EngineReplica, Room
from lorabay.cluster.replicas.messages import (
    Begun,
    Died,
    Errand,
    Event,
    Failed,
    Message,
    Question,
    Spent,
    Whole,
)
from lorabay.errors import EngineUnavailable, InvalidRequest
from lorabay.serving.engine import CALLS, Answer, AnswerStream, Body, Usage
from tests.fake_engine import FakeEngine
from tests.fake_stream import USAGE, FakeStream
from tests.versions import make_version

FINANCE, SHOP, LAW = (
    make_version(name, digit) for name, digit in (("finance", "a"), ("shop", "b"), ("law", "c"))
)
ROOM = Room(capacity=2, slots=2)


def question(version: Version | None, call: str = "chat", **body: object) -> Question:
    asked = {"model": "finance", **body}
    key = "base" if version is None else version.weights
    return Question(Wish(key), call, asked, version, "r1", {}, False)


async def answered(replica: EngineReplica, asked: Question) -> list[Message]:
    messages: list[Message] = []
    await replica.answer(asked, messages.append)
    return messages


@pytest.fixture
async def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def replica(engine: FakeEngine) -> AsyncIterator[EngineReplica]:
    made = EngineReplica(engine, ROOM)
    await made.start()
    yield made
    await made.stop()


async def test_a_request_loads_its_version(replica: EngineReplica, engine: FakeEngine) -> None:
    """And the answer, whole, is the engine's own."""
    (whole,) = await answered(replica, question(FINANCE, n=1))
    assert isinstance(whole, Whole)
    assert whole.answer.content == b'{"model": "finance", "n": 1}'
    assert engine.loaded == {FINANCE}
    assert replica.stats() == {
        "held": [FINANCE.weights],
        "running": {},
        "places": 2,
        "window": 1,
        "asked": 1,
        "found": 0,
        "pid": os.getpid(),
    }


async def test_a_stream_has_its_events_in_order(replica: EngineReplica) -> None:
    messages = await answered(replica, question(None, stream=True))
    assert isinstance(messages[0], Begun)
    events = [one.content for one in messages if isinstance(one, Event)]
    assert len(events) == 3
    assert events[-1] == b"data: [DONE]\n\n"
    assert messages[-1].usage == USAGE  # type: ignore[union-attr]


async def test_an_expected_failure_is_told(replica: EngineReplica, engine: FakeEngine) -> None:
    async def refuse(body: Body) -> Answer | AnswerStream:
        raise InvalidRequest("n is too large", param="n")

    engine.reply = refuse
    (failed,) = await answered(replica, question(FINANCE))
    assert isinstance(failed, Failed)
    assert failed.error.message == "n is too large"


async def test_a_death_under_a_request_is_told_as_such(
    replica: EngineReplica, engine: FakeEngine
) -> None:
    """Not so a failure of an engine that goes on, nor what comes to a dead one."""
    dies = False

    async def fail(body: Body) -> Answer | AnswerStream:
        engine.up = not dies
        raise EngineUnavailable("gone")

    engine.reply = fail
    assert isinstance((await answered(replica, question(None)))[0], Failed)
    dies = True
    assert isinstance((await answered(replica, question(None)))[0], Died)
    assert isinstance((await answered(replica, question(None)))[0], Failed)


async def test_a_client_that_leaves_ends_the_generation(
    replica: EngineReplica, engine: FakeEngine
) -> None:
    """The stream is closed at once, and the weights may go."""
    streams = []

    async def endless() -> AsyncGenerator[bytes, None]:
        while True:
            yield b"data: x\n\n"
            await asyncio.sleep(0)

    async def stream(body: Body) -> AnswerStream:
        streams.append(FakeStream(endless()))
        return streams[0]

    engine.reply = stream
    queue: asyncio.Queue[Message] = asyncio.Queue()
    asked = question(FINANCE, stream=True)
    answer = asyncio.create_task(replica.answer(asked, queue.put_nowait))
    await queue.get()
    assert replica.stats()["running"] == {FINANCE.weights: 1}
    answer.cancel()
    await asyncio.wait({answer})
    assert streams[0].closed >= 1
    assert replica.stats()["running"] == {}
    await replica.forget(FINANCE)
    assert engine.loaded == set()


async def test_the_cost_of_a_whole_answer_is_told_while_it_is_made(
    replica: EngineReplica, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: what a client had cost that left before a whole answer was recorded nowhere."""
    monkeypatch.setattr("lorabay.cluster.replicas.engine_replica.TELL_S", 0.001)

    async def never(body: Body) -> Answer | AnswerStream:
        await asyncio.Event().wait()
        raise AssertionError

    engine.reply, engine.spent = never, Usage(7, 2)
    queue: asyncio.Queue[Message] = asyncio.Queue()
    answer = asyncio.create_task(replica.answer(question(FINANCE), queue.put_nowait))
    spent = await asyncio.wait_for(queue.get(), 20)
    assert isinstance(spent, Spent)
    assert spent.usage == Usage(7, 2)
    answer.cancel()
    await asyncio.wait({answer})


async def test_a_failure_comes_with_its_cost(replica: EngineReplica, engine: FakeEngine) -> None:
    """What was computed before it counts."""

    async def refuse(body: Body) -> Answer | AnswerStream:
        raise InvalidRequest("a later prompt is too long")

    engine.reply, engine.spent = refuse, Usage(7, 2)
    spent, failed = await answered(replica, question(FINANCE))
    assert isinstance(spent, Spent)
    assert spent.usage == Usage(7, 2)
    assert isinstance(failed, Failed)


async def test_only_a_replica_that_has_the_former_version_prepares(
    replica: EngineReplica, engine: FakeEngine
) -> None:
    """A swap changes nothing where the adapter is not used."""
    newer = make_version("finance", "d")
    assert not await replica.prepare_successor(newer)
    assert engine.loaded == set()

    await replica.prepare(Errand(Wish(FINANCE.weights), FINANCE))
    assert await replica.prepare_successor(newer)
    assert engine.loaded == {FINANCE, newer}


async def test_a_full_replica_makes_room(replica: EngineReplica, engine: FakeEngine) -> None:
    """The longest unused goes, unless it is pinned."""
    await answered(replica, question(FINANCE))
    await answered(replica, question(SHOP))
    replica.pin({FINANCE.weights})
    await answered(replica, question(LAW))
    assert engine.loaded == {FINANCE, LAW}


async def test_facts_tell_what_the_engine_can(engine: FakeEngine) -> None:
    """And what it has room for."""
    facts = EngineReplica(engine, Room(capacity=3, slots=2)).facts()
    assert facts.max_model_len == 2048
    assert facts.calls == {call.name for call in CALLS}
    assert (facts.places, facts.slots) == (3, 2)
