"""Requests that kill the engine are found and refused; those that ran beside them are not."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lorabay.errors import EngineUnavailable, LorabayError, RequestRefused
from lorabay.serving.engine import CHAT, COMPLETIONS, Body
from lorabay.serving.supervision.suspects import (
    KEPT,
    REFUSED_S,
    WAIT_S,
    Running,
    Suspects,
    fingerprint,
)
from tests.examples import histories
from tests.versions import make_version
from tests.virtual_time import VirtualTimeLoop, quiet

FINANCE, OTHER = make_version("finance", "a"), make_version("other", "b")
Result = TypeVar("Result")


def chat(text: str, **more: Any) -> Body:
    return {"model": "finance", "messages": [{"role": "user", "content": text}], **more}


def asking(text: str) -> Running:
    return Running(CHAT, chat(text), FINANCE)


@pytest.fixture
async def suspects() -> Suspects:
    return Suspects(asyncio.get_running_loop().time)


async def begin(suspects: Suspects, *texts: str) -> list[Running]:
    """Send requests to the engine; each must be admitted at once."""
    requests = [asking(text) for text in texts]
    for request in requests:
        await asyncio.wait_for(suspects.admit(request), 1)
        suspects.begun(request)
    return requests


async def die_on(suspects: Suspects, *texts: str) -> list[str]:
    """Run requests until the engine dies of one; return the fingerprints that are refused."""
    requests = await begin(suspects, *texts)
    culprit = suspects.engine_died(asyncio.get_running_loop().time())
    for request in requests:
        suspects.ended(request, is_done=False)
    await quiet()
    return [] if culprit is None else [culprit.fingerprint]


async def is_refused(suspects: Suspects, text: str) -> bool:
    request = asking(text)
    try:
        await suspects.admit(request)
    except RequestRefused as refusal:
        return refusal.retry_after is not None
    finally:
        suspects.ended(request, is_done=False)
    return False


# Copies of an engine


async def test_only_those_in_the_copy_that_died_are_suspects(suspects: Suspects) -> None:
    """Those that run in others are not, and go on."""
    for _ in range(2):
        killer, bystander = await begin(suspects, "killer", "bystander")
        culprit = suspects.copy_died([killer])
        suspects.ended(killer, is_done=False)
        suspects.ended(bystander, is_done=False)
    assert culprit is not None
    assert culprit.fingerprint == killer.fingerprint
    assert await is_refused(suspects, "killer")
    assert not await is_refused(suspects, "bystander")


async def test_those_that_were_together_at_each_death_run_one_at_a_time(
    suspects: Suspects,
) -> None:
    """The next death tells them apart."""
    for _ in range(2):
        both = await begin(suspects, "killer", "bystander")
        assert suspects.copy_died(both) is None
        for request in both:
            suspects.ended(request, is_done=False)

    (killer,) = await begin(suspects, "killer")
    waiting = asyncio.create_task(suspects.admit(asking("bystander")))
    await quiet()
    assert not waiting.done()
    assert suspects.copy_died([killer]) is not None
    suspects.ended(killer, is_done=False)
    await waiting


# What counts as the same request


def key(body: Body) -> str:
    return fingerprint(CHAT, body, FINANCE)


@pytest.mark.parametrize(
    "again",
    [
        chat("Hello you", seed=7),
        chat("Hello you", temperature=0.3, top_p=0.9),
        chat("Hello you", user="somebody", stream=True, stream_options={"include_usage": True}),
        chat("  Hello \n\t you "),
        {"messages": [{"content": "Hello you", "role": "user"}], "model": "tiny:finance"},
    ],
)
def test_trivial_differences_are_none(again: Body) -> None:
    """Chance, labels, white space, the order of fields and the spelling of the model."""
    assert key(again) == key(chat("Hello you"))


def test_a_whole_number_is_one_number() -> None:
    """JSON has two spellings of it."""
    assert key(chat("Hi", max_tokens=5)) == key(chat("Hi", max_tokens=5.0))
    assert key(chat("Hi", max_tokens=5)) != key(chat("Hi", max_tokens=50))


@pytest.mark.parametrize(
    "other",
    [chat("Hello your"), chat("Hello you", n=2), chat("Hello you", max_tokens=1), chat("Helloyou")],
)
def test_what_the_engine_computes_makes_the_request(other: Body) -> None:
    """Another text, or another amount of work, is another request."""
    assert key(other) != key(chat("Hello you"))


def test_call_and_weights_belong_to_the_request() -> None:
    """The same words to other weights may be harmless."""
    body = chat("Hi")
    keys = {
        fingerprint(CHAT, body, FINANCE),
        fingerprint(COMPLETIONS, body, FINANCE),
        fingerprint(CHAT, body, OTHER),
        fingerprint(CHAT, body, None),
    }
    assert len(keys) == 4
    assert fingerprint(CHAT, body, make_version("twin", "a")) in keys


@pytest.mark.parametrize("depth", [100, 100_000])
def test_any_body_has_a_fingerprint(depth: int) -> None:
    """Also one that is nested too deeply, and one that is no text in any encoding."""
    body: Body = {"model": "m", "x": "\ud800"}
    for _ in range(depth):
        body = {"x": body}
    assert len(key(body)) == 64


# One request that kills the engine


async def test_the_same_request_is_refused_the_third_time(suspects: Suspects) -> None:
    """Two deaths are enough; others are answered, and it is told how long it has to wait."""
    assert await die_on(suspects, "poison", "innocent") == []
    await finish(suspects, "innocent")
    assert await die_on(suspects, "poison", "innocent") == [asking("poison").fingerprint]
    assert await is_refused(suspects, "poison")
    assert not await is_refused(suspects, "innocent")
    assert not await is_refused(suspects, "another")


async def finish(suspects: Suspects, text: str) -> None:
    """Run a request to its end."""
    (request,) = await begin(suspects, text)
    suspects.ended(request, is_done=True)


async def test_one_death_may_be_chance(suspects: Suspects) -> None:
    """A request that runs to its end afterwards is no suspect any more."""
    for _ in range(5):
        assert await die_on(suspects, "unlucky") == []
        await finish(suspects, "unlucky")


async def test_a_refusal_ends_and_then_one_death_is_enough(suspects: Suspects) -> None:
    """The second refusal is longer; if the request is answered then, everything is forgotten."""
    for _ in range(2):
        await die_on(suspects, "poison")
    for period in (REFUSED_S[0], REFUSED_S[1], REFUSED_S[1]):
        await asyncio.sleep(period - 1)
        assert await is_refused(suspects, "poison")
        await asyncio.sleep(2)
        assert await die_on(suspects, "poison") == [asking("poison").fingerprint]

    await asyncio.sleep(REFUSED_S[1] + 1)
    await finish(suspects, "poison")
    assert await die_on(suspects, "poison") == []


async def test_a_request_that_left_the_engine_in_time_was_not_there(suspects: Suspects) -> None:
    """One that ended after the last sign of life may have been; a client gives up on what hangs."""
    clock = asyncio.get_running_loop().time
    for _ in range(2):
        early, late = await begin(suspects, "early", "late")
        suspects.ended(early, is_done=False)
        await asyncio.sleep(1)
        alive_at = clock()
        await asyncio.sleep(60)
        suspects.ended(late, is_done=False)
        suspects.engine_died(alive_at)
    assert await is_refused(suspects, "late")
    assert not await is_refused(suspects, "early")


async def test_what_was_never_computed_is_no_suspect(suspects: Suspects) -> None:
    """A request that is refused as invalid had no part in anything."""
    for _ in range(3):
        (request,) = await begin(suspects, "invalid")
        suspects.ended(request, is_done=False, was_computed=False)
        suspects.engine_died(0.0)
    assert not await is_refused(suspects, "invalid")


async def test_a_death_that_is_explained_is_taken_back(suspects: Suspects) -> None:
    """A version was to blame: nothing is left against the requests that ran, refusals included."""
    for _ in range(2):
        await die_on(suspects, "a", "b")
        suspects.absolve()
    assert await die_on(suspects, "a") == []
    assert await die_on(suspects, "a") == [asking("a").fingerprint]
    suspects.absolve()
    assert not await is_refused(suspects, "a")
    assert await die_on(suspects, "a") == [asking("a").fingerprint]


# Several that were there equally often


async def test_suspects_run_one_at_a_time(suspects: Suspects) -> None:
    """The next death tells them apart: the innocent one waits, or has been answered by then."""
    for _ in range(2):
        assert await die_on(suspects, "poison", "innocent") == []
    (first,) = await begin(suspects, "innocent")
    second = asking("poison")
    waiting = asyncio.create_task(suspects.admit(second))
    await quiet()
    assert not waiting.done()
    await begin(suspects, "another")  # only suspects wait

    suspects.ended(first, is_done=True)
    await waiting
    suspects.begun(second)
    culprit = suspects.engine_died(asyncio.get_running_loop().time())
    suspects.ended(second, is_done=False)
    assert culprit is not None
    assert culprit.fingerprint == second.fingerprint
    assert culprit.version == FINANCE
    assert not await is_refused(suspects, "innocent")


async def test_a_suspect_does_not_wait_for_ever(suspects: Suspects) -> None:
    """It is told to come back, and takes nobody's turn."""
    for _ in range(2):
        await die_on(suspects, "a", "b")
    (first,) = await begin(suspects, "a")
    with pytest.raises(EngineUnavailable) as failure:
        await suspects.admit(asking("b"))
    assert failure.value.retry_after
    assert asyncio.get_running_loop().time() >= WAIT_S
    suspects.ended(first, is_done=False)
    await begin(suspects, "b")


async def test_a_suspect_that_leaves_while_it_waits_takes_no_turn(suspects: Suspects) -> None:
    """Its client has hung up."""
    for _ in range(2):
        await die_on(suspects, "a", "b")
    (first,) = await begin(suspects, "a")
    waiting = asyncio.create_task(suspects.admit(asking("b")))
    await quiet()
    waiting.cancel()
    await asyncio.wait({waiting})
    suspects.ended(first, is_done=False)
    await begin(suspects, "b")


async def test_what_is_remembered_is_bounded(suspects: Suspects) -> None:
    """Many requests at many deaths do not fill the memory, and do not wash out what is refused."""
    for _ in range(2):
        await die_on(suspects, "poison")
    for death in range(3):
        requests = [asking(f"{death}-{number}") for number in range(KEPT)]
        for request in requests:
            suspects.begun(request)
        suspects.engine_died(asyncio.get_running_loop().time())
    assert len(suspects._suspects) == KEPT
    assert await is_refused(suspects, "poison")


# Whatever the order


class Engines(RuleBasedStateMachine):
    """Clients that send requests again and again, some of which kill the engine."""

    texts = ("a", "b", "c", "d")
    poisons: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.suspects = self.do(self.make())
        self.requests: dict[asyncio.Task[None], tuple[str, Running]] = {}
        self.kills: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    async def make(self) -> Suspects:
        return Suspects(asyncio.get_running_loop().time)

    def do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(work)

    @rule(text=st.sampled_from(texts))
    def send(self, text: str) -> None:
        self.do(self.begin(text))

    async def begin(self, text: str) -> None:
        request = asking(text)

        async def admit() -> None:
            try:
                await self.suspects.admit(request)
            except LorabayError as failure:
                self.suspects.ended(request, is_done=False)
                if isinstance(failure, RequestRefused):
                    self.refused[text] += 1
                raise
            self.suspects.begun(request)

        self.requests[asyncio.create_task(admit())] = (text, request)
        await quiet()
        self.forget_failed()

    def forget_failed(self) -> None:
        failed = [task for task in self.requests if task.done() and task.exception()]
        for task in failed:
            del self.requests[task]

    def running(self) -> dict[asyncio.Task[None], tuple[str, Running]]:
        return {task: request for task, request in self.requests.items() if task.done()}

    @precondition(lambda self: any(text not in self.poisons for text, _ in self.running().values()))
    @rule(which=st.integers(0, 9))
    def finish(self, which: int) -> None:
        innocent = {
            task: request
            for task, (text, request) in self.running().items()
            if text not in self.poisons
        }
        task = list(innocent)[which % len(innocent)]
        self.suspects.ended(innocent[task], is_done=True)
        del self.requests[task]
        self.rest()

    @precondition(lambda self: self.running())
    @rule(which=st.integers(0, 9))
    def leave(self, which: int) -> None:
        running = self.running()
        task = list(running)[which % len(running)]
        self.suspects.ended(running[task][1], is_done=False)
        del self.requests[task]
        self.rest()

    @precondition(lambda self: any(text in self.poisons for text, _ in self.running().values()))
    @rule(which=st.integers(0, 9))
    def kill(self, which: int) -> None:
        running = self.running()
        killers = sorted({text for text, _ in running.values() if text in self.poisons})
        self.kills[killers[which % len(killers)]] += 1
        self.do(self.die(running))
        self.rest()

    async def die(self, running: dict[asyncio.Task[None], tuple[str, Running]]) -> None:
        self.suspects.engine_died(asyncio.get_running_loop().time())
        for task, (_, request) in running.items():
            self.suspects.ended(request, is_done=False)
            del self.requests[task]

    @rule(seconds=st.sampled_from([1.0, WAIT_S + 1]))
    def wait(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))
        self.forget_failed()

    def rest(self) -> None:
        self.do(quiet())
        self.forget_failed()

    def teardown(self) -> None:
        assert all(count <= 3 for count in self.kills.values()), self.kills
        self.do(self.end_all())
        self.do(self.ask_all())
        self.runner.close()

    async def end_all(self) -> None:
        await asyncio.sleep(2 * WAIT_S)
        for task, (_, request) in self.requests.items():
            task.cancel()
            self.suspects.ended(request, is_done=False)
        await asyncio.gather(*self.requests, return_exceptions=True)

    async def ask_all(self) -> None:
        """Nobody is refused for good, and no turn was lost."""
        await asyncio.sleep(REFUSED_S[1] + 1)
        for text in self.texts:
            await finish(self.suspects, text)


class OneKills(Engines):
    """One request kills every engine that it runs in."""

    poisons = ("a",)

    def teardown(self) -> None:
        assert self.refused.keys() <= {"a"}
        super().teardown()


class TwoKill(Engines):
    """Two requests do."""

    poisons = ("a", "b")


@pytest.mark.parametrize("machine", [OneKills, TwoKill])
def test_whatever_the_order(machine: type[Engines]) -> None:
    """A request that kills engines does so three times at most; an innocent one is never refused if
    there is one killer, and never for good if there are more.
    """
    run_state_machine_as_test(machine, settings=histories(150, steps=40))
