"""Whole models come up, replace one another and die, each in an engine of its own; virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from lorabay.catalog.versions import Digest, Version
from lorabay.errors import AdapterRejected, EngineUnavailable, NoRoomForModel, SetupError
from lorabay.serving.engine import CHAT, Engine
from lorabay.serving.models.model_engines import NO_MODELS, ModelEngines, ModelHooks, ModelPlan
from lorabay.serving.supervision.supervisor import Death
from lorabay.serving.turns.turn_gate import Bounds, TurnGate
from tests.serving.mortal_engine import MortalEngine
from tests.versions import make_model
from tests.virtual_time import VirtualTimeLoop, quiet

OLD, NEW, OTHER = make_model("bank", "a"), make_model("bank", "b"), make_model("shop", "c")
START = "start"


class Host:
    """Models and what their owner hears; `made` are the engines, the newest of a version last."""

    def __init__(self, limit: int = 1) -> None:
        self.made: list[tuple[Version, MortalEngine]] = []
        self.used: set[Digest] = set()
        self.wanted: set[Digest] = set()
        self.short: str | None = None
        self.slow = False
        self.failure: Exception | None = None
        self.heard: list[tuple[str, Version]] = []
        self.gates: list[Callable[[], Engine | None]] = []
        plan = ModelPlan(self.make, limit, lambda version, others: self.short, self.gate)
        hooks = ModelHooks(
            in_use=self.used.__contains__,
            wanted=lambda: self.wanted,
            loaded=lambda version, seconds: self.heard.append(("loaded", version)),
            refused=lambda version, error: self.heard.append(("refused", version)),
            died=self.died,
        )
        clock = asyncio.get_running_loop().time
        self.models = ModelEngines(plan, hooks, clock=clock)

    def make(self, version: Version) -> MortalEngine:
        engine = MortalEngine()
        if self.slow:
            engine.hold(START)
        if self.failure is not None:
            engine.fail(START, self.failure)
        self.made.append((version, engine))
        return engine

    def gate(self, engine: Callable[[], Engine | None]) -> TurnGate:
        self.gates.append(engine)
        return TurnGate(1, Bounds(10.0, running=4), drain_after_s=1.0)

    def died(self, version: Version, death: Death) -> None:
        self.heard.append((death.how, version))

    def engine(self, version: Version) -> MortalEngine:
        """Return the newest engine of a version."""
        return next(engine for made, engine in reversed(self.made) if made == version)

    @property
    def up(self) -> set[Version]:
        """The versions that have an engine which runs."""
        return {version for version, engine in self.made if engine.up}


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    host = Host()
    yield host
    await host.models.stop()
    assert host.up == set()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_model_has_an_engine_of_its_own(host: Host) -> None:
    """It is made once for all who wait, answers, and ends when the version is dropped."""
    await asyncio.gather(*(host.models.ensure(OLD) for _ in range(3)))
    assert len(host.made) == 1
    assert host.models.placed() == host.models.resident().keys() == {OLD.weights}
    await host.models.engine_of(OLD).run(CHAT, {"model": "bank"}, OLD, request_id="1")
    assert host.engine(OLD).asked[0][2] == OLD

    await host.models.drop(OLD)
    assert (host.up, host.models.placed()) == (set(), frozenset())
    with pytest.raises(EngineUnavailable, match="not up yet"):
        host.models.engine_of(OLD)


async def test_a_version_in_use_is_not_dropped(host: Host) -> None:
    """A request that runs keeps its engine; dropping what is not there changes nothing."""
    await host.models.ensure(OLD)
    host.used.add(OLD.weights)
    await host.models.drop(OLD)
    assert host.up == {OLD}
    await host.models.drop(OTHER)


async def test_a_further_model_is_refused_with_the_setting(host: Host) -> None:
    """A model that a name means is never taken out for another."""
    host.wanted.add(OLD.weights)
    await host.models.ensure(OLD)
    with pytest.raises(NoRoomForModel, match="--max-models"):
        await host.models.ensure(OTHER)
    assert host.up == {OLD}
    assert host.models.placed() == {OLD.weights}


async def test_a_swap_runs_both_for_a_while(host: Host) -> None:
    """The new version comes up beside the old one, but not a third."""
    host.wanted.add(OLD.weights)
    await host.models.ensure(OLD)
    await host.models.ensure(NEW, swap=True)
    assert host.up == {OLD, NEW}
    host.wanted.add(NEW.weights)
    with pytest.raises(NoRoomForModel):
        await host.models.ensure(OTHER, swap=True)


async def test_what_nobody_means_makes_room(host: Host) -> None:
    """A former version that somebody asked for once ends when another model needs its place."""
    await host.models.ensure(OLD)
    await host.models.ensure(OTHER)
    assert host.up == {OTHER}


async def test_too_little_memory_is_told_and_tried_again(host: Host) -> None:
    """The reason reaches whoever asked; nothing is made, and later it may fit."""
    host.short = "300 MiB more than the 100 MiB that are free"
    with pytest.raises(NoRoomForModel, match="300 MiB more"):
        await host.models.ensure(OLD)
    assert host.made == []
    host.short = None
    await host.models.ensure(OLD)
    assert host.up == {OLD}


@pytest.mark.parametrize(
    "failure", [SetupError("vLLM did not start: no such layer"), KeyError("no such layer")]
)
async def test_an_engine_that_does_not_start_is_a_refusal(host: Host, failure: Exception) -> None:
    """What vLLM says is the reason, whatever it is, and nothing of the engine is left."""
    host.failure = failure
    with pytest.raises(AdapterRejected, match="no such layer"):
        await host.models.ensure(OLD)
    assert host.heard == [("refused", OLD)]
    assert host.engine(OLD).ended == ["stop"]
    assert host.models.placed() == frozenset()


async def test_a_start_that_takes_long_goes_on(host: Host) -> None:
    """Whoever waits is told to come back, and finds it then."""
    host.slow = True
    with pytest.raises(EngineUnavailable) as caught:
        await host.models.ensure(OLD)
    assert caught.value.retry_after
    assert host.models.loading() == {OLD}
    host.engine(OLD).release(START)
    await host.models.ensure(OLD)
    assert (host.models.loading(), len(host.made)) == (frozenset(), 1)


async def test_starts_come_one_after_the_other() -> None:
    """Each sees the memory that the one before has left."""
    host = Host(limit=2)
    host.slow = True
    starts = [asyncio.create_task(host.models.ensure(version)) for version in (OLD, OTHER)]
    await quiet()
    assert [version for version, _ in host.made] == [OLD]
    host.engine(OLD).release(START)
    await quiet()
    host.engine(OTHER).release(START)
    await asyncio.gather(*starts)
    assert host.up == {OLD, OTHER}
    await host.models.stop()


async def test_a_death_is_nobody_elses(host: Host) -> None:
    """Its requests are turned away until its engine is back; other models answer."""
    host.models = ModelEngines(
        ModelPlan(host.make, 2, lambda version, others: None, host.gate),
        ModelHooks(died=host.died),
        clock=asyncio.get_running_loop().time,
    )
    await host.models.ensure(OLD)
    await host.models.ensure(OTHER)
    host.engine(OLD).die()
    host.engine(OLD).hold(START)
    await quiet()
    assert host.heard == [("died", OLD)]
    with pytest.raises(EngineUnavailable):
        await host.models.ensure(OLD)
    await host.models.ensure(OTHER)

    host.engine(OLD).release(START)
    await quiet()
    await host.models.ensure(OLD)
    assert len(host.made) == 2


async def test_a_stop_ends_what_starts(host: Host) -> None:
    """Without a refusal: a server that is being stopped says nothing of its models."""
    host.slow = True
    waiting = asyncio.create_task(host.models.ensure(OLD))
    await quiet()
    host.engine(OLD).fail(START, SetupError("killed"))
    await host.models.stop()
    with pytest.raises(EngineUnavailable):
        await waiting
    assert host.heard == []


async def test_each_model_has_places_of_its_own(host: Host) -> None:
    """The gate is there before the engine is, and asks it how much it computes."""
    gate = host.models.turns_of(OLD)
    assert host.models.turns_of(OLD) is gate
    assert host.gates[0]() is None
    await host.models.ensure(OLD)
    assert host.gates[0]() is host.models.engine_of(OLD)
    turns = [asyncio.create_task(gate.take(OLD)) for _ in range(9)]
    await quiet()
    assert host.models.waiting == gate.waiting > 0
    for turn in turns:
        turn.cancel()


async def test_a_server_without_models_refuses_them() -> None:
    """The reason names the setting."""
    models = ModelEngines(NO_MODELS, ModelHooks())
    with pytest.raises(NoRoomForModel, match="--max-models"):
        await models.ensure(OLD)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "swap", "drop", "use", "leave", "die", "short", "fail", "wait"]),
        st.sampled_from([OLD, NEW, OTHER]),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(1, 2))
def test_whatever_happens_each_version_has_its_engine(
    steps: list[tuple[str, Version]], limit: int
) -> None:
    """In any order of requests, swaps, drops, deaths and failures: never more engines than there
    may be, none for what is not there, none taken from a request, and each answers for its own.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(_history(steps, limit))


async def _history(steps: list[tuple[str, Version]], limit: int) -> None:
    host = Host(limit)
    tasks: list[asyncio.Task[None]] = []
    for step, version in steps:
        used_and_up = {one for one in host.up if one.weights in host.used}
        await _take(host, tasks, step, version)
        _check(host, limit)
        lost = used_and_up - host.up
        assert not lost or (step == "die" and lost == {version})

    host.used.clear()
    await asyncio.gather(*tasks, return_exceptions=True)
    _check(host, limit)
    await host.models.stop()
    assert host.up == set()


async def _take(host: Host, tasks: list[asyncio.Task[None]], step: str, version: Version) -> None:
    def begin(work: Coroutine[Any, Any, None]) -> None:
        tasks.append(asyncio.create_task(work))

    if step in ("ask", "swap"):
        begin(host.models.ensure(version, swap=step == "swap"))
    elif step == "drop":
        begin(host.models.drop(version))
    elif step == "use" and version.weights in host.models.resident():
        host.used.add(version.weights)
    elif step == "leave":
        host.used.discard(version.weights)
    elif step == "die" and version in host.up:
        host.engine(version).die()
    elif step == "short":
        host.short = None if host.short else "too little"
    elif step == "fail":
        host.failure = None if host.failure else SetupError("no")
    await asyncio.sleep(1.0 if step == "wait" else 1e-3)


def _check(host: Host, limit: int) -> None:
    assert len(host.up) <= limit + 1
    assert {version.weights for version in host.up} <= host.models.placed()
    for version in (OLD, NEW, OTHER):
        if version.weights in host.models.resident():
            assert host.models.engine_of(version)._engine is host.engine(version)  # type: ignore[attr-defined]
