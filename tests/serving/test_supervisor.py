"""Deaths of an engine and its coming back, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from lorabay.errors import EngineUnavailable, SetupError
from lorabay.serving.engine import CHAT, Slots
from lorabay.serving.supervisor import LONGEST_PAUSE_S, STEADY_S, SupervisedEngine
from tests.serving.mortal_engine import MortalEngine
from tests.versions import make_version
from tests.virtual_time import quiet

A = make_version("finance")
BODY = {"model": "finance"}
REFUSAL = SetupError("no memory")


class Witness:
    """Writes down what a supervised engine calls, and when."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.recovered_may_end = asyncio.Event()
        self.recovered_may_end.set()

    def died(self) -> None:
        self.calls.append("died")

    async def recovered(self) -> None:
        self.calls.append("recovered")
        await self.recovered_may_end.wait()
        self.calls.append("settled")


@pytest.fixture
def inner() -> MortalEngine:
    return MortalEngine()


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
async def supervised(inner: MortalEngine, witness: Witness) -> AsyncIterator[SupervisedEngine]:
    loop = asyncio.get_running_loop()
    engine = SupervisedEngine(
        inner, on_death=witness.died, on_recovery=witness.recovered, clock=loop.time
    )
    yield engine
    await engine.stop()


def now() -> float:
    return asyncio.get_running_loop().time()


async def starts_of(inner: MortalEngine, count: int) -> list[float]:
    """Return when each of the next starts begins, in whole seconds from now."""
    began, seen, times = now(), inner.steps.count("start"), []
    while len(times) < count:
        await asyncio.sleep(0.01)
        for _ in range(inner.steps.count("start") - seen - len(times)):
            times.append(round(now() - began))
    return times


async def test_before_the_start_nothing_is_answered(supervised: SupervisedEngine) -> None:
    """An engine that was not started is unavailable, with a time to come back."""
    with pytest.raises(EngineUnavailable) as failure:
        await supervised.run(CHAT, BODY, None, request_id="1")
    assert failure.value.retry_after


async def test_a_failed_first_start_is_raised(
    supervised: SupervisedEngine, inner: MortalEngine
) -> None:
    """The operator learns at once that this engine cannot run; it is not tried again."""
    inner.fail("start", REFUSAL)
    with pytest.raises(SetupError, match="no memory"):
        await supervised.start()
    await asyncio.sleep(1000)
    assert inner.steps == ["start"]
    with pytest.raises(EngineUnavailable):
        supervised.check()


async def test_everything_reaches_a_healthy_engine(
    supervised: SupervisedEngine, inner: MortalEngine
) -> None:
    """Once started, loads, requests and questions pass through."""
    await supervised.start()
    supervised.check()
    await supervised.load(A)
    await supervised.run(CHAT, BODY, A, request_id="1")
    assert inner.asked == [(CHAT, BODY, A, "1")]
    assert inner.loaded == {A}
    await supervised.unload(A)
    assert not inner.loaded
    assert supervised.max_model_len == inner.max_model_len
    assert supervised.schemas() == inner.schemas()


async def test_a_dead_engine_comes_back(
    supervised: SupervisedEngine, inner: MortalEngine, witness: Witness
) -> None:
    """It is stopped and started again at once; the death and the recovery are reported once each,
    in this order.
    """
    await supervised.start()
    inner.die()
    await quiet()
    assert inner.steps == ["start", "stop", "start"]
    assert witness.calls == ["died", "recovered", "settled"]
    supervised.check()


@pytest.mark.parametrize("call", ["load", "unload", "run", "check"])
async def test_while_it_is_down_every_call_is_a_503(
    supervised: SupervisedEngine, inner: MortalEngine, call: str
) -> None:
    """From the death to the recovery nothing reaches the engine, though it is already starting."""
    await supervised.start()
    inner.die()
    inner.hold("start")
    await quiet()
    inner.up = True
    calls: dict[str, Any] = {
        "load": lambda: supervised.load(A),
        "unload": lambda: supervised.unload(A),
        "run": lambda: supervised.run(CHAT, BODY, A, request_id="1"),
    }
    with pytest.raises(EngineUnavailable) as failure:
        await calls[call]() if call in calls else supervised.check()
    assert failure.value.retry_after
    assert not inner.loaded
    assert not inner.asked


async def test_a_death_that_is_not_noticed_yet_is_a_503(
    supervised: SupervisedEngine, inner: MortalEngine
) -> None:
    """In the moment before the death is noticed, the engine's own word counts."""
    await supervised.start()
    inner.up = False
    with pytest.raises(EngineUnavailable):
        supervised.check()


async def test_the_pause_grows_until_a_start_works(
    supervised: SupervisedEngine, inner: MortalEngine
) -> None:
    """At once, then after 1, 2, 4, 8, 16 seconds, and then every 30, however often it fails."""
    await supervised.start()
    inner.fail("start", *[REFUSAL] * 8)
    inner.die()
    assert await starts_of(inner, 9) == [0, 1, 3, 7, 15, 31, 61, 91, 121]
    await quiet()
    supervised.check()


@pytest.mark.parametrize("step", ["stop", "start"])
async def test_errors_that_nobody_foresaw_do_not_end_it(
    supervised: SupervisedEngine, inner: MortalEngine, step: str
) -> None:
    """They are logged, and the engine is started again as after an expected one."""
    await supervised.start()
    inner.fail(step, AssertionError("what vLLM never raises"))
    inner.die()
    with capture_logs() as logged:
        await asyncio.sleep(2)
    assert [line["event"] for line in logged if line.get("exc_info")] == ["bug"]
    supervised.check()


async def test_an_error_of_the_watch_or_of_the_recovery_does_not_end_it(
    inner: MortalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that cannot be watched is restarted, and a recovery may fail."""

    async def fail() -> None:
        raise AssertionError("a bug")

    supervised = SupervisedEngine(inner, on_recovery=fail)
    with capture_logs() as logged:
        with monkeypatch.context() as patch:
            patch.setattr(inner, "died", fail)
            await supervised.start()
            await asyncio.sleep(0.5)
        await asyncio.sleep(2)
    assert {line["step"] for line in logged if line.get("exc_info")} == {"watch", "recovery"}
    supervised.check()
    inner.die()
    await asyncio.sleep(5)
    supervised.check()
    await supervised.stop()


async def test_an_engine_that_dies_again_and_again_is_given_longer_pauses(
    supervised: SupervisedEngine, inner: MortalEngine
) -> None:
    """A start that works does not reset the pause; only a life long enough does."""
    await supervised.start()
    times = []
    for _ in range(7):
        inner.die()
        times += await starts_of(inner, 1)
        await quiet()
    assert times == [0, 1, 2, 4, 8, 16, LONGEST_PAUSE_S]
    await asyncio.sleep(STEADY_S + 1)
    inner.die()
    assert await starts_of(inner, 1) == [0]


async def test_each_death_is_reported_once(
    supervised: SupervisedEngine, inner: MortalEngine, witness: Witness
) -> None:
    """A start that fails in between does not count as a death."""
    await supervised.start()
    inner.fail("start", REFUSAL, REFUSAL)
    inner.die()
    await asyncio.sleep(100)
    inner.die()
    await asyncio.sleep(100)
    assert witness.calls == ["died", "recovered", "settled"] * 2


async def test_a_death_during_the_recovery_ends_it(
    supervised: SupervisedEngine, inner: MortalEngine, witness: Witness
) -> None:
    """The second death is noticed while the recovery from the first still runs, and cancels it."""
    await supervised.start()
    witness.recovered_may_end.clear()
    inner.die()
    await quiet()
    inner.die()
    await asyncio.sleep(100)
    assert witness.calls == ["died", "recovered", "died", "recovered"]
    witness.recovered_may_end.set()
    await quiet()
    assert witness.calls == ["died", "recovered", "died", "recovered", "settled"]
    supervised.check()


async def test_requests_are_answered_while_the_recovery_goes_on(
    supervised: SupervisedEngine, inner: MortalEngine, witness: Witness
) -> None:
    """The engine answers from its start on, not only from the end of the recovery."""
    await supervised.start()
    witness.recovered_may_end.clear()
    inner.die()
    await quiet()
    await supervised.run(CHAT, BODY, None, request_id="1")
    assert len(inner.asked) == 1


@pytest.mark.parametrize("moment", ["healthy", "pausing", "starting", "recovering"])
async def test_stop_ends_it_at_any_moment(
    supervised: SupervisedEngine, inner: MortalEngine, witness: Witness, moment: str
) -> None:
    """After a stop the engine is down, nothing starts it again, and no task is left."""
    await supervised.start()
    if moment == "pausing":
        inner.fail("start", *[REFUSAL] * 20)
    if moment == "recovering":
        witness.recovered_may_end.clear()
    if moment != "healthy":
        inner.die()
    if moment == "starting":
        inner.hold("start")
    await asyncio.sleep(5)
    await supervised.stop()
    starts = inner.steps.count("start")
    assert inner.steps[-1] == "stop"
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await asyncio.sleep(1000)
    assert inner.steps.count("start") == starts
    with pytest.raises(EngineUnavailable):
        supervised.check()


async def test_a_stopped_engine_can_be_stopped_again(supervised: SupervisedEngine) -> None:
    """Stopping is idempotent, and needs no start before it."""
    await supervised.stop()
    await supervised.start()
    await supervised.stop()
    await supervised.stop()


async def test_a_supervised_engine_is_never_dead_for_good(
    supervised: SupervisedEngine, inner: MortalEngine
) -> None:
    """Whoever waits for its death waits in vain."""
    await supervised.start()
    waiting = asyncio.create_task(supervised.died())
    inner.die()
    await asyncio.sleep(1000)
    assert not waiting.done()
    waiting.cancel()


async def test_slots_are_those_of_an_engine_that_runs(
    supervised: SupervisedEngine, inner: MortalEngine
) -> None:
    """While it is down, or not started yet, nobody can tell."""
    inner.in_slots = Slots(frozenset({A.digest}), 4)
    assert supervised.slots() is None
    await supervised.start()
    assert supervised.slots() == inner.in_slots
    inner.die()
    inner.hold("start")
    await quiet()
    assert supervised.slots() is None
