"""All replicas as one engine: it answers as one would, and loads where it is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from lorabay.cluster.choice.rendezvous import ReplicaId
from lorabay.cluster.replicas.engine_replica import EngineReplica, Room
from lorabay.cluster.replicas.replicas_engine import SESSION, ReplicasEngine
from lorabay.errors import EngineUnavailable, RequestRefused
from lorabay.serving.engine import CHAT, AdapterRoom, Answer, Body, Compiled, Slots
from lorabay.serving.residency import Hooks, Residency
from lorabay.serving.supervision.supervisor import SupervisedEngine
from lorabay.serving.supervision.suspects import Suspects
from tests.cluster.replicas.direct import ROOM, DirectLine
from tests.fake_engine import FakeEngine
from tests.versions import make_version
from tests.virtual_time import quiet

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
    assert engine.adapter_room == AdapterRoom(places=8, slots=4)
    assert engine.max_model_len == 2048
    assert engine.compiled is Compiled.YES
    assert "chat" in engine.schemas()
    engine.check()
    engine.check_call(CHAT)


async def test_only_what_is_in_a_slot_counts_as_such(
    engine: ReplicasEngine, line: DirectLine, engines: tuple[FakeEngine, FakeEngine]
) -> None:
    """A replica holds more adapters than it has slots."""
    await engine.load(FINANCE)
    (home,) = [one for one in engines if one.loaded]
    other = make_version("shop", "b")
    home.in_slots = Slots(frozenset({other.weights}), 2)
    engine._facts = await line.tell_all("facts")
    slots = engine.slots()
    assert slots is not None
    assert slots.held == {other.weights}


async def test_without_replicas_nothing_is_up(line: DirectLine) -> None:
    engine = ReplicasEngine(line)
    assert engine.adapter_room is None
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


async def test_it_grows_and_shrinks_with_its_replicas(line: DirectLine) -> None:
    """And says so each time, but not at a look at which they are the same."""
    looks = asyncio.Semaphore(0)
    looked = 0

    async def sleep(seconds: float) -> None:
        nonlocal looked
        looked += 1
        await looks.acquire()

    async def look() -> None:
        before = looked
        looks.release()
        while looked == before:
            await asyncio.sleep(0)

    engine = ReplicasEngine(line, sleep=sleep)
    rooms: list[AdapterRoom | None] = []
    engine.when_resized(lambda: rooms.append(engine.adapter_room))
    await engine.start()
    await quiet()
    third = EngineReplica(FakeEngine(), Room(capacity=10, slots=3))
    line.replicas[ReplicaId("third")] = third
    await look()
    await look()
    for name in list(line.replicas)[:2]:
        await line.replicas.pop(name).stop()
    await look()
    line.is_cut = True
    await look()
    assert rooms == [AdapterRoom(8, 4), AdapterRoom(18, 7), AdapterRoom(10, 3), None]
    await engine.stop()


async def test_a_front_holds_as_many_adapters_as_its_replicas_do(line: DirectLine) -> None:
    """Also after they have become more, and fewer again; none that is in use is dropped."""
    looks = asyncio.Semaphore(0)
    engine = ReplicasEngine(line, sleep=lambda seconds: looks.acquire())
    await engine.start()
    in_use = {FINANCE.weights}
    residency = Residency(engine, 1, Hooks(in_use=in_use.__contains__))
    versions = [
        FINANCE,
        *(make_version(name, name[0]) for name in ("bank", "corp", "dock", "eggs")),
    ]

    async def room_for(places: int) -> None:
        looks.release()
        while residency.capacity != places:
            await asyncio.sleep(0)

    second = line.replicas.pop(ReplicaId("replica-1"))
    await room_for(4)
    for version in versions[:4]:
        await residency.ensure(version)
    assert not residency.has_room_for(versions[4])
    line.replicas[ReplicaId("replica-1")] = second
    await room_for(8)
    assert residency.has_room_for(versions[4])
    await residency.ensure(versions[4])
    assert len(residency.resident()) == 5

    line.replicas = {ReplicaId("small"): EngineReplica(FakeEngine(up=True), Room(2, slots=1))}
    await room_for(2)
    await residency.ensure(make_version("fish", "f"))
    assert FINANCE.weights in residency.resident()
    assert len(residency.resident()) == 2
    await second.stop()
    await engine.stop()


async def test_a_request_that_kills_two_replicas_is_refused(
    line: DirectLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is on one host; one that ran beside it is not, and the others go on."""
    monkeypatch.setattr("lorabay.serving.supervision.copy_deaths.GATHER_S", 0.01)
    supervised = SupervisedEngine(ReplicasEngine(line), suspects=Suspects())
    await supervised.start()

    async def ask_for(text: str) -> None:
        await supervised.run(CHAT, {"model": "finance", "text": text}, FINANCE, request_id="r")

    async def dies_of(*texts: str) -> None:
        """A replica that comes in place of those there are, and dies once all these are there."""
        engine, present = FakeEngine(up=True), asyncio.Event()

        async def reply(body: Body) -> Answer:
            if len(engine.asked) == len(texts):
                engine.up = False
                present.set()
            await present.wait()
            raise EngineUnavailable("the engine died")

        engine.reply = reply
        line.replicas = {ReplicaId(str(len(texts))): EngineReplica(engine, ROOM)}
        asked = await asyncio.gather(*map(ask_for, texts), return_exceptions=True)
        assert [type(one) for one in asked] == [EngineUnavailable] * len(texts)
        await asyncio.sleep(0.05)

    await dies_of("killer", "bystander")
    await dies_of("killer")
    line.replicas = {ReplicaId("fresh"): EngineReplica(FakeEngine(up=True), ROOM)}
    with pytest.raises(RequestRefused, match="died 2 times"):
        await ask_for("killer")
    await ask_for("bystander")
    await supervised.stop()
