"""All replicas as one engine: it answers as one would, and loads where it is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from lorabay.cluster.replicas.replicas_engine import SESSION, ReplicasEngine
from lorabay.errors import EngineUnavailable
from lorabay.serving.engine import CHAT, Answer, Compiled
from tests.cluster.replicas.direct import DirectLine
from tests.fake_engine import FakeEngine
from tests.versions import make_version

FINANCE = make_version("finance", "a")


@pytest.fixture
async def engines() -> tuple[FakeEngine, FakeEngine]:
    return FakeEngine(), FakeEngine()


@pytest.fixture
async def line(engines: tuple[FakeEngine, FakeEngine]) -> DirectLine:
    return DirectLine(*engines)


@pytest.fixture
async def engine(line: DirectLine) -> AsyncIterator[ReplicasEngine]:
    made = ReplicasEngine(line)
    await made.start()
    yield made
    await made.stop()


async def ask(engine: ReplicasEngine, **headers: str) -> None:
    answer = await engine.run(CHAT, {"model": "finance"}, FINANCE, request_id="r", headers=headers)
    assert isinstance(answer, Answer)


async def test_requests_of_an_adapter_stay_together(
    engine: ReplicasEngine, line: DirectLine, engines: tuple[FakeEngine, FakeEngine]
) -> None:
    """One replica loads it, and no header of the front's reaches its engine."""
    for number in range(6):
        await ask(engine, **{SESSION: f"s{number}"})
    assert len(set(line.asked)) == 1
    assert sorted(len(one.loaded) for one in engines) == [0, 1]
    assert all(one.headers == {} for one in engines)


async def test_the_base_is_asked_anywhere(engine: ReplicasEngine) -> None:
    answer = await engine.run(CHAT, {"model": "base"}, None, request_id="r")
    assert isinstance(answer, Answer)
    assert answer.content == b'{"model": "base"}'


async def test_a_stream_goes_through(engine: ReplicasEngine) -> None:
    answer = await engine.run(CHAT, {"model": "finance", "stream": True}, FINANCE, request_id="r")
    assert not isinstance(answer, Answer)
    assert [event async for event in answer][-1] == b"data: [DONE]\n\n"
    assert answer.usage.generation_tokens == 3


async def test_a_swap_is_prepared_where_the_old_version_is(
    engine: ReplicasEngine, engines: tuple[FakeEngine, FakeEngine]
) -> None:
    """First it is at home at one; a new version is loaded there, too, and nowhere else."""
    await engine.load(FINANCE)
    (home,) = [one for one in engines if one.loaded]
    newer = make_version("finance", "d")
    await engine.load(newer)
    assert home.loaded == {FINANCE, newer}
    assert sum(len(one.loaded) for one in engines) == 2

    await engine.unload(FINANCE)
    assert home.loaded == {newer}


async def test_a_first_load_asks_one_replica_alone(
    engine: ReplicasEngine, line: DirectLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one that hangs has nothing to do with it."""
    monkeypatch.setattr(line, "tell_all", None)
    await engine.load(FINANCE)
    assert len(line.asked) == 1


async def test_a_silent_replica_does_not_hold_up_a_swap(
    engine: ReplicasEngine,
    line: DirectLine,
    engines: tuple[FakeEngine, FakeEngine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its requests bring the version, and it loads it then."""
    await engine.load(FINANCE)

    async def hangs(*_: object) -> list[object]:
        return await asyncio.Event().wait()  # type: ignore[return-value]

    monkeypatch.setattr(line, "tell_all", hangs)
    monkeypatch.setattr("lorabay.cluster.replicas.replicas_engine.EVERYWHERE_S", 0.01)
    newer = make_version("finance", "d")
    await engine.load(newer)
    assert any(newer in one.loaded for one in engines)
    await engine.unload(FINANCE)
    monkeypatch.undo()


async def test_it_is_as_large_as_its_replicas_together(engine: ReplicasEngine) -> None:
    slots = engine.slots()
    assert slots is not None
    assert slots.count == 4
    assert engine.max_model_len == 2048
    assert engine.compiled is Compiled.YES
    assert "chat" in engine.schemas()
    engine.check()
    engine.check_call(CHAT)


async def test_without_replicas_nothing_is_up(line: DirectLine) -> None:
    engine = ReplicasEngine(line)
    assert engine.max_model_len is None
    assert engine.slots() is None
    with pytest.raises(EngineUnavailable, match="no replica"):
        engine.check()


async def test_facts_are_followed(line: DirectLine, engines: tuple[FakeEngine, FakeEngine]) -> None:
    """A replica that changes, and what is pinned, is known at the next look."""
    looks = asyncio.Semaphore(0)

    async def sleep(seconds: float) -> None:
        await looks.acquire()

    engine = ReplicasEngine(line, sleep=sleep)
    engine.keep_in_slots(lambda: frozenset({FINANCE.weights}))
    await engine.start()
    for one in engines:
        one.max_sequences = 16
    looks.release()
    while engine.max_sequences != 32:
        await asyncio.sleep(0)
    assert engines[0].pinned() == {FINANCE.weights}
    await engine.stop()
