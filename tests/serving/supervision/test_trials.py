"""Versions that are tried out alone in a new engine."""

from __future__ import annotations

import asyncio

import pytest

from lorabay.errors import AdapterRejected, EngineUnavailable, InvalidRequest
from lorabay.serving.engine import CALLS, COMPLETIONS, POOLING, Answer, AnswerStream, Body, Usage
from lorabay.serving.supervision.quarantine import Quarantine
from lorabay.serving.supervision.trials import AT_MOST, LIMIT_S, Trials
from tests.serving.mortal_engine import MortalEngine
from tests.versions import make_version

A, B = make_version("a", "a"), make_version("b", "b")


@pytest.fixture
async def quarantine() -> Quarantine:
    return Quarantine(asyncio.get_running_loop().time)


@pytest.fixture
async def trials(engine: MortalEngine, quarantine: Quarantine) -> Trials:
    """Of two versions that were there when the last engine died."""
    quarantine.engine_died([A], [B], 0.0)
    return Trials(engine, quarantine)


async def test_a_version_that_answers_is_proven(
    trials: Trials, engine: MortalEngine, quarantine: Quarantine
) -> None:
    """Each is loaded alone, asked for one token, and unloaded again."""
    await trials.run()
    assert engine.ended == [f"load {A.id}", f"unload {A.id}", f"load {B.id}", f"unload {B.id}"]
    assert [(call, version) for call, _, version, _ in engine.asked] == [
        (COMPLETIONS, A),
        (COMPLETIONS, B),
    ]
    assert all(body["max_tokens"] == 1 for _, body, _, _ in engine.asked)
    assert engine.most_loaded == 1
    assert trials.interrupted() is None

    quarantine.engine_died([A], [B], 0.0)
    assert quarantine.in_doubt() == ()


async def test_nothing_is_tried_without_a_doubt(engine: MortalEngine) -> None:
    """The usual restart costs nothing."""
    await Trials(engine, Quarantine()).run()
    assert engine.steps == []


@pytest.mark.parametrize("moment", ["load", "answer"])
async def test_the_version_that_the_engine_dies_on_is_known(
    trials: Trials, engine: MortalEngine, quarantine: Quarantine, moment: str
) -> None:
    """The others are not tried in a dead engine, and stay in doubt."""

    async def die(body: Body) -> Answer | AnswerStream:
        engine.die()
        raise EngineUnavailable("gone")

    if moment == "answer":
        engine.reply = die
    else:
        engine.deadly.add(f"load {A.id}")
    await trials.run()
    assert trials.interrupted() == A
    assert trials.interrupted() is None
    quarantine.killed(A)
    assert quarantine.in_doubt() == (B,)


async def test_a_version_that_has_answered_is_not_blamed_for_what_follows(
    trials: Trials, engine: MortalEngine
) -> None:
    """A token is a token, also if the engine is killed right after it."""
    engine.deadly.add(f"unload {A.id}")
    await trials.run()
    assert trials.interrupted() is None


async def test_a_trial_that_is_cut_off_is_known(trials: Trials, engine: MortalEngine) -> None:
    """The engine hangs, and whoever notices that cancels the trials."""
    engine.hold(f"load {A.id}")
    running = asyncio.create_task(trials.run())
    await asyncio.sleep(1)
    running.cancel()
    await asyncio.wait({running})
    assert trials.interrupted() == A


@pytest.mark.parametrize(
    "failure",
    [
        AdapterRejected("a", ("no such module",)),
        EngineUnavailable("Input/output error"),
        InvalidRequest("no completions"),
    ],
)
async def test_a_version_that_cannot_be_tried_out_holds_nothing_up(
    trials: Trials, engine: MortalEngine, quarantine: Quarantine, failure: Exception
) -> None:
    """It is neither proven nor blamed, and the next one is tried."""
    engine.fail(f"load {A.id}", failure)
    await trials.run()
    assert trials.interrupted() is None
    assert quarantine.in_doubt() == ()
    assert quarantine.admits(A)
    assert f"unload {B.id}" in engine.ended

    quarantine.engine_died([A], [B], 0.0)
    assert quarantine.in_doubt() == (A,)


async def test_a_trial_does_not_take_for_ever(trials: Trials, engine: MortalEngine) -> None:
    """Clients wait for it: after the limit the next one is tried."""
    engine.hold(f"load {A.id}")
    await trials.run()
    assert asyncio.get_running_loop().time() == pytest.approx(LIMIT_S)
    assert engine.ended == [f"unload {A.id}", f"load {B.id}", f"unload {B.id}"]


async def test_an_answer_without_a_token_proves_nothing(
    trials: Trials, engine: MortalEngine, quarantine: Quarantine
) -> None:
    """The version is in doubt again when the next engine dies."""

    async def empty(body: Body) -> Answer | AnswerStream:
        return Answer(b"{}", Usage(prompt_tokens=1))

    engine.reply = empty
    await trials.run()
    quarantine.engine_died([A], [], 0.0)
    assert quarantine.in_doubt() == (A,)


async def test_on_a_base_that_pools_a_vector_is_asked_for(
    trials: Trials, engine: MortalEngine, quarantine: Quarantine
) -> None:
    """It has no tokens to give, and its vector proves the version."""

    async def pool(body: Body) -> Answer | AnswerStream:
        return Answer(b"{}", Usage(prompt_tokens=1))

    engine.calls = tuple(call for call in CALLS if not call.generates)
    engine.reply = pool
    await trials.run()
    assert [call for call, *_ in engine.asked] == [POOLING, POOLING]
    assert all(body["input"] for _, body, *_ in engine.asked)
    quarantine.engine_died([A], [B], 0.0)
    assert quarantine.in_doubt() == ()


async def test_clients_do_not_wait_for_many_trials(engine: MortalEngine) -> None:
    """What is left over is tried out when it was there at another death."""
    quarantine = Quarantine()
    versions = [make_version(f"v{number}", f"{number:x}") for number in range(AT_MOST + 3)]
    quarantine.engine_died(versions, [], 0.0)
    await Trials(engine, quarantine).run()
    assert len(engine.asked) == AT_MOST
    assert len(quarantine.in_doubt()) == 3
