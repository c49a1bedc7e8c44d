"""Deaths of an engine and its coming back, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from lorabay.errors import (
    CallNotServed,
    EngineUnavailable,
    InvalidRequest,
    RequestRefused,
    SetupError,
)
from lorabay.serving.engine import (
    CHAT,
    TOKENIZE,
    AdapterRoom,
    Answer,
    AnswerStream,
    Body,
    Compiled,
    Slots,
)
from lorabay.serving.supervision.supervisor import (
    LONGEST_PAUSE_S,
    NOTICE_S,
    START_S,
    STEADY_S,
    Death,
    Patience,
    SupervisedEngine,
)
from lorabay.serving.supervision.suspects import Suspects
from tests.fake_engine import echo
from tests.serving.mortal_engine import MortalEngine
from tests.versions import make_version
from tests.virtual_time import quiet

A = make_version("finance")
BODY = {"model": "finance"}
REFUSAL = SetupError("no memory")
PATIENCE = Patience(hang_s=40.0, failed_restarts=3)


class Witness:
    """Writes down what a supervised engine calls, and when."""

    def __init__(self, suspects: Suspects) -> None:
        self.suspects = suspects
        self.calls: list[str] = []
        self.deaths: list[Death] = []
        self.tried_out = 0
        self.recovered_may_end = asyncio.Event()
        self.recovered_may_end.set()
        self.trial_may_end = asyncio.Event()
        self.trial_may_end.set()

    def died(self, death: Death) -> None:
        self.calls.append(death.how)
        self.deaths.append(death)
        self.suspects.engine_died(death.alive_at)

    async def try_out(self) -> None:
        self.tried_out += 1
        await self.trial_may_end.wait()

    async def recovered(self) -> None:
        self.calls.append("recovered")
        await self.recovered_may_end.wait()
        self.calls.append("settled")


@pytest.fixture
def inner() -> MortalEngine:
    return MortalEngine()


@pytest.fixture
async def witness() -> Witness:
    return Witness(Suspects(now))


@pytest.fixture
async def supervised(inner: MortalEngine, witness: Witness) -> AsyncIterator[SupervisedEngine]:
    engine = SupervisedEngine(
        inner,
        suspects=witness.suspects,
        patience=PATIENCE,
        on_death=witness.died,
        try_out=witness.try_out,
        on_recovery=witness.recovered,
        clock=now,
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
    assert supervised.max_sequences == inner.max_sequences
    told: list[AdapterRoom | None] = []
    supervised.when_resized(lambda: told.append(supervised.adapter_room))
    inner.resize(places=4, slots=2)
    assert told == [AdapterRoom(4, 2)]
    assert supervised.reads_at_once == inner.reads_at_once
    assert supervised.schemas() == inner.schemas()

    inner.calls = ()
    with pytest.raises(CallNotServed):
        supervised.check_call(CHAT)


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

    supervised = SupervisedEngine(inner, suspects=Suspects(now), on_recovery=fail)
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


async def test_pins_reach_the_engine(supervised: SupervisedEngine, inner: MortalEngine) -> None:
    """Whatever becomes of it: it looks them up whenever it wants to know."""
    supervised.keep_in_slots(lambda: {A.weights})
    await supervised.start()
    assert inner.pinned() == {A.weights}


async def test_whether_the_base_is_compiled_is_known_of_an_engine_that_runs(
    supervised: SupervisedEngine, inner: MortalEngine
) -> None:
    """A rebuilt one may have to compile again."""
    assert supervised.compiled is None
    await supervised.start()
    assert supervised.compiled is Compiled.YES
    inner.die()
    inner.hold("start")
    await quiet()
    assert supervised.compiled is None


async def test_an_engine_that_hangs_is_killed_and_comes_back(
    supervised: SupervisedEngine, inner: MortalEngine, witness: Witness
) -> None:
    """Within the set time, also if nobody asks it for anything; from then on requests are a 503."""
    await supervised.start()
    await asyncio.sleep(1000)
    supervised.check()

    inner.hang()
    inner.fail("start", REFUSAL)
    fell_silent = now()
    while not witness.deaths:
        await asyncio.sleep(0.1)
    assert PATIENCE.hang_s / 2 < now() - fell_silent <= PATIENCE.hang_s + 0.2
    with pytest.raises(EngineUnavailable):
        supervised.check()
    assert witness.calls == ["hung"]
    assert witness.deaths[0].alive_at <= fell_silent

    await asyncio.sleep(2)
    assert inner.steps == ["start", "kill", "stop", "start", "stop", "start"]
    supervised.check()


async def test_what_ended_just_before_a_death_may_have_caused_it(
    supervised: SupervisedEngine, inner: MortalEngine, witness: Witness
) -> None:
    """Requests fail at once when the engine dies, a moment before the death is noticed."""
    await supervised.start()
    await asyncio.sleep(100)
    inner.die()
    died = now()
    await quiet()
    assert witness.deaths[0].alive_at <= died - NOTICE_S + 0.01


async def test_requests_wait_until_the_new_engine_was_tried_out(
    supervised: SupervisedEngine, inner: MortalEngine, witness: Witness
) -> None:
    """Whatever may have killed the last engine has the new one for itself."""
    await supervised.start()
    assert witness.tried_out == 0
    witness.trial_may_end.clear()
    inner.die()
    await asyncio.sleep(10)
    assert witness.tried_out == 1
    assert inner.up
    with pytest.raises(EngineUnavailable):
        supervised.check()
    witness.trial_may_end.set()
    await quiet()
    supervised.check()
    assert witness.calls == ["died", "recovered", "settled"]


@pytest.mark.parametrize("how", ["died", "hung"])
async def test_an_engine_that_ends_in_the_trial_is_rebuilt(
    supervised: SupervisedEngine, inner: MortalEngine, witness: Witness, how: str
) -> None:
    """That death is reported like any other, and the next engine is tried out again."""
    await supervised.start()
    witness.trial_may_end.clear()
    inner.die()
    await asyncio.sleep(5)
    if how == "died":
        inner.die()
    else:
        inner.hang()
    await asyncio.sleep(PATIENCE.hang_s + 5)
    assert witness.calls == ["died", how]
    witness.trial_may_end.set()
    await quiet()
    assert witness.tried_out == 2
    supervised.check()


async def test_a_trial_that_fails_does_not_keep_clients_out(
    inner: MortalEngine, witness: Witness
) -> None:
    """A bug there is logged."""

    async def fail() -> None:
        raise AssertionError("a bug")

    supervised = SupervisedEngine(inner, suspects=Suspects(now), try_out=fail)
    await supervised.start()
    inner.die()
    with capture_logs() as logged:
        await asyncio.sleep(1)
    assert {line["step"] for line in logged if line.get("exc_info")} == {"trial"}
    supervised.check()
    await supervised.stop()


async def test_restarts_that_fail_in_a_row_make_the_server_unhealthy(
    supervised: SupervisedEngine, inner: MortalEngine
) -> None:
    """Then somebody else has to act; a restart that works makes it healthy again."""
    await supervised.start()
    inner.fail("start", *[REFUSAL] * 4)
    inner.die()
    await starts_of(inner, 2)
    supervised.check_health()
    await starts_of(inner, 1)
    await quiet()
    with pytest.raises(EngineUnavailable, match="3 times"):
        supervised.check_health()
    await asyncio.sleep(100)
    supervised.check()
    supervised.check_health()


async def test_a_server_may_be_patient_for_ever(inner: MortalEngine) -> None:
    """0 turns the limit off."""
    supervised = SupervisedEngine(
        inner, suspects=Suspects(now), patience=Patience(failed_restarts=0)
    )
    await supervised.start()
    inner.fail("start", *[REFUSAL] * 50)
    inner.die()
    await asyncio.sleep(1000)
    supervised.check_health()
    await supervised.stop()


async def test_a_restart_that_hangs_is_killed(
    supervised: SupervisedEngine, inner: MortalEngine
) -> None:
    """It counts as one that failed; the next one is begun."""
    await supervised.start()
    inner.die()
    inner.hold("start")
    inner.fail("start", SetupError("killed"))
    await asyncio.sleep(START_S - 1)
    assert "kill" not in inner.steps
    await asyncio.sleep(10)
    assert inner.steps[-3:] == ["kill", "stop", "start"]
    supervised.check()


async def test_the_same_request_is_refused_the_third_time(
    supervised: SupervisedEngine, inner: MortalEngine
) -> None:
    """Two engines died while it ran; the others are answered as before."""
    await supervised.start()

    async def deadly(body: Body) -> Answer | AnswerStream:
        if body.get("prompt") == "poison":
            inner.die()
            raise EngineUnavailable("gone")
        return await echo(body)

    inner.reply = deadly
    poison = BODY | {"prompt": "poison"}
    for attempt in range(2):
        with pytest.raises(EngineUnavailable):
            await supervised.run(CHAT, poison, A, request_id="1")
        await asyncio.sleep(100)
        await supervised.run(CHAT, BODY, A, request_id="2")
        assert inner.steps.count("start") == attempt + 2

    with pytest.raises(RequestRefused):
        await supervised.run(CHAT, poison | {"seed": 5}, A, request_id="3")
    await supervised.run(CHAT, BODY, A, request_id="4")
    inner.reply = echo
    await supervised.run(TOKENIZE, poison, A, request_id="5")  # the engine computes nothing
    assert inner.steps.count("start") == 3


async def test_a_stream_is_in_the_engine_until_it_is_closed(
    supervised: SupervisedEngine, inner: MortalEngine
) -> None:
    """One that is read to its end is innocent; one that still runs is there at the death."""
    await supervised.start()
    body = BODY | {"stream": True}
    for _ in range(3):
        done = await supervised.run(CHAT, body | {"prompt": "done"}, A, request_id="1")
        assert not isinstance(done, Answer)
        assert [event async for event in done]
        await done.aclose()

    for _ in range(2):
        running = await supervised.run(CHAT, body | {"prompt": "long"}, A, request_id="2")
        assert not isinstance(running, Answer)
        await anext(aiter(running))
        inner.die()
        await asyncio.sleep(100)
        await running.aclose()
    with pytest.raises(RequestRefused):
        await supervised.run(CHAT, body | {"prompt": "long"}, A, request_id="3")
    await supervised.run(CHAT, body | {"prompt": "done"}, A, request_id="4")


async def test_an_invalid_request_is_no_suspect(
    supervised: SupervisedEngine, inner: MortalEngine
) -> None:
    """It was refused before anything was computed."""
    await supervised.start()

    async def refuse(body: Body) -> Answer | AnswerStream:
        raise InvalidRequest("no")

    inner.reply = refuse
    for _ in range(3):
        with pytest.raises(InvalidRequest):
            await supervised.run(CHAT, BODY, A, request_id="1")
        inner.die()
        await asyncio.sleep(100)
    with pytest.raises(InvalidRequest):
        await supervised.run(CHAT, BODY, A, request_id="1")
