"""Signs of life of an engine: a long step is none less, a long silence is a hang."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lorabay.errors import EngineUnavailable
from lorabay.serving.supervision.heartbeat import BEAT_S, Heartbeat

LIMIT_S = 60.0


class Beating:
    """An engine that answers after `delay_s`, or not at all."""

    def __init__(self) -> None:
        self.delay_s: float | None = 0.0
        self.asked = 0
        self.failure: Exception | None = None

    async def beat(self) -> None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        if self.delay_s is None:
            await asyncio.Event().wait()
        else:
            await asyncio.sleep(self.delay_s)


def now() -> float:
    return asyncio.get_running_loop().time()


def heartbeat_of(engine: Beating, limit_s: float = LIMIT_S) -> Heartbeat:
    return Heartbeat(engine.beat, limit_s, clock=asyncio.get_running_loop().time)


async def seconds_until_lost(heartbeat: Heartbeat, patience_s: float = 1000.0) -> float | None:
    """Return when the engine counts as lost, in seconds from now; None if it does not."""
    began = now()
    try:
        async with asyncio.timeout(patience_s):
            await heartbeat.lost()
    except TimeoutError:
        return None
    return now() - began


async def test_an_engine_that_answers_is_never_lost() -> None:
    """It is asked every few seconds, and no more."""
    engine = Beating()
    assert await seconds_until_lost(heartbeat_of(engine)) is None
    assert 1000 / BEAT_S * 0.9 < engine.asked < 1000 / BEAT_S * 1.1


@pytest.mark.parametrize("step_s", [1.0, 30.0, LIMIT_S - BEAT_S - 1])
async def test_a_long_step_is_no_hang(step_s: float) -> None:
    """The answer comes between two steps, however long they are within the limit."""
    engine = Beating()
    engine.delay_s = step_s
    assert await seconds_until_lost(heartbeat_of(engine)) is None


@pytest.mark.parametrize("limit_s", [0.4, 4.0, 60.0, 120.0])
async def test_silence_is_noticed_within_the_limit(limit_s: float) -> None:
    """Whenever it began: also right after an answer."""
    engine = Beating()
    heartbeat = heartbeat_of(engine, limit_s)
    losing = asyncio.create_task(heartbeat.lost())
    await asyncio.sleep(10.1 * limit_s)
    fell_silent, engine.delay_s = now(), None
    await losing
    assert limit_s / 2 <= now() - fell_silent <= limit_s * 1.01


async def test_time_in_which_this_process_did_not_run_is_no_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A machine that slept wakes up with every timer due; the answer is still on its way."""
    engine = Beating()
    engine.delay_s = 1000.5
    heartbeat = heartbeat_of(engine)
    losing = asyncio.create_task(heartbeat.lost())
    await asyncio.sleep(0.1)

    loop: Any = asyncio.get_running_loop()
    loop._jumping.now += 1000  # asleep
    await asyncio.sleep(1)
    engine.delay_s = 0.0
    await asyncio.sleep(1000)
    assert not losing.done()
    losing.cancel()


async def test_an_engine_that_is_gone_does_not_hang() -> None:
    """Its death is somebody else's to notice; it is asked on, and not faster."""
    engine = Beating()
    engine.failure = EngineUnavailable("gone")
    assert await seconds_until_lost(heartbeat_of(engine)) is None
    assert engine.asked < 1000 / BEAT_S * 1.1


async def test_the_last_sign_of_life_is_when_it_was_asked_for() -> None:
    """What the engine was told before that question, it has heard: the answer may be much later."""
    engine = Beating()
    heartbeat = heartbeat_of(engine)
    began = heartbeat.alive_at
    losing = asyncio.create_task(heartbeat.lost())
    await asyncio.sleep(10)
    assert began < heartbeat.alive_at <= now()

    engine.delay_s = None
    await asyncio.sleep(5)
    last = heartbeat.alive_at
    await losing
    assert heartbeat.alive_at == last


async def test_nothing_is_left_when_nobody_waits_any_more() -> None:
    """A watch that is cancelled leaves no question behind."""
    engine = Beating()
    engine.delay_s = None
    losing = asyncio.create_task(heartbeat_of(engine).lost())
    await asyncio.sleep(1)
    losing.cancel()
    await asyncio.wait({losing})
    assert asyncio.all_tasks() == {asyncio.current_task()}
