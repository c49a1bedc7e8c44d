"""The gate of grammars over a compiler that a test holds back, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from lorabay.errors import EngineUnavailable, InvalidRequest
from lorabay.serving.grammars import GrammarGate, Passed, Refused, Verdict
from tests.virtual_time import quiet

BUSY = EngineUnavailable("the machine is too busy", retry_after=1.0)


class HeldCompiler:
    """Compiles when a test says so."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.ended: list[bytes] = []
        self.verdicts: dict[bytes, Verdict | EngineUnavailable] = {}
        self.may_go_on = asyncio.Event()
        self.stopped = False

    async def compile(self, grammar: bytes) -> Verdict:
        self.asked.append(grammar)
        try:
            await self.may_go_on.wait()
        finally:
            self.ended.append(grammar)
        verdict = self.verdicts.get(grammar, Passed("xgrammar"))
        if isinstance(verdict, EngineUnavailable):
            raise verdict
        return verdict

    async def stop(self) -> None:
        self.stopped = True
        self.verdicts = dict.fromkeys(self.asked, BUSY)
        self.may_go_on.set()


class Bench:
    """A gate over a held compiler, and the outcomes that it counts."""

    def __init__(self, *, queue: int = 16, remembered: int = 100) -> None:
        self.compiler = HeldCompiler()
        self.outcomes: list[str] = []
        self.gate = GrammarGate(
            self.compiler, queue=queue, remembered=remembered, count=self.outcomes.append
        )

    def ask(self, grammar: bytes) -> asyncio.Task[str]:
        return asyncio.create_task(self.gate.admit(grammar))


async def test_a_grammar_is_tried_once() -> None:
    """A second request with the same grammar starts no trial, whether the first passed or not."""
    bench = Bench()
    bench.compiler.may_go_on.set()
    bench.compiler.verdicts[b"bad"] = Refused("it is wrong")
    for _ in range(3):
        assert await bench.gate.admit(b"good") == "xgrammar"
        with pytest.raises(InvalidRequest, match="it is wrong") as caught:
            await bench.gate.admit(b"bad")
        assert caught.value.status == 400
    assert bench.compiler.asked == [b"good", b"bad"]
    assert bench.outcomes == ["passed", "refused"]
    assert bench.gate.trials == 0


async def test_requests_at_once_share_a_trial() -> None:
    """A prompt in several copies, or many clients with one schema, cost one trial."""
    bench = Bench()
    tasks = [bench.ask(b"a") for _ in range(5)]
    await quiet()
    assert bench.gate.trials == 1
    bench.compiler.may_go_on.set()
    assert await asyncio.gather(*tasks) == ["xgrammar"] * 5
    assert bench.compiler.asked == [b"a"]


async def test_trials_run_one_at_a_time_in_the_order_of_arrival() -> None:
    """While one is compiled, the next has not begun."""
    bench = Bench()
    tasks = [bench.ask(grammar) for grammar in (b"a", b"b", b"c")]
    await quiet()
    assert bench.compiler.asked == [b"a"]
    bench.compiler.may_go_on.set()
    await asyncio.gather(*tasks)
    assert bench.compiler.asked == [b"a", b"b", b"c"]


async def test_a_trial_ends_with_the_last_who_waits_for_it() -> None:
    """The first client that leaves changes nothing for the second; after both nothing goes on."""
    bench = Bench()
    first, second = bench.ask(b"a"), bench.ask(b"a")
    await quiet()
    first.cancel()
    await quiet()
    assert bench.compiler.ended == []
    second.cancel()
    await quiet()
    assert bench.compiler.ended == [b"a"]
    assert bench.gate.trials == 0
    assert bench.outcomes == ["abandoned"]


async def test_a_grammar_whose_client_left_is_never_begun() -> None:
    """A place in the queue goes to the next."""
    bench = Bench()
    running, left, waiting = (bench.ask(grammar) for grammar in (b"a", b"b", b"c"))
    await quiet()
    left.cancel()
    await quiet()
    bench.compiler.may_go_on.set()
    await asyncio.gather(running, waiting)
    assert bench.compiler.asked == [b"a", b"c"]


async def test_what_was_abandoned_can_be_asked_again() -> None:
    """Leaving says nothing about a grammar."""
    bench = Bench()
    task = bench.ask(b"a")
    await quiet()
    task.cancel()
    again = bench.ask(b"a")
    bench.compiler.may_go_on.set()
    assert await again == "xgrammar"
    assert bench.outcomes == ["abandoned", "passed"]


async def test_a_full_queue_turns_new_grammars_away() -> None:
    """The client is told when to come back; known grammars and those under way still pass."""
    bench = Bench(queue=2)
    bench.compiler.may_go_on.set()
    await bench.gate.admit(b"known")
    bench.compiler.may_go_on.clear()
    tasks = [bench.ask(b"a"), bench.ask(b"b")]
    await quiet()
    with pytest.raises(EngineUnavailable, match="2 structured outputs wait") as caught:
        await bench.gate.admit(b"c")
    assert caught.value.retry_after
    assert await bench.gate.admit(b"known") == "xgrammar"
    tasks.append(bench.ask(b"a"))
    bench.compiler.may_go_on.set()
    assert await asyncio.gather(*tasks) == ["xgrammar"] * 3
    assert await bench.gate.admit(b"c") == "xgrammar"
    assert bench.outcomes.count("turned_away") == 1


async def test_a_trial_without_a_verdict_is_tried_again() -> None:
    """A busy machine says nothing about a grammar."""
    bench = Bench()
    bench.compiler.may_go_on.set()
    bench.compiler.verdicts[b"a"] = BUSY
    with pytest.raises(EngineUnavailable):
        await bench.gate.admit(b"a")
    del bench.compiler.verdicts[b"a"]
    assert await bench.gate.admit(b"a") == "xgrammar"
    assert bench.outcomes == ["failed", "passed"]


async def test_verdicts_are_kept_within_bounds() -> None:
    """The one that was not asked for longest is forgotten first."""
    bench = Bench(remembered=2)
    bench.compiler.may_go_on.set()
    for grammar in (b"a", b"b", b"a", b"c", b"a", b"b"):
        await bench.gate.admit(grammar)
    assert bench.compiler.asked == [b"a", b"b", b"c", b"b"]


async def test_who_waits_at_the_end_is_told_to_come_back() -> None:
    """An engine that is stopped leaves no request waiting for ever."""
    bench = Bench()
    tasks = [bench.ask(b"a"), bench.ask(b"b")]
    await quiet()
    bench.compiler.verdicts[b"b"] = BUSY
    bench.compiler.asked.append(b"b")
    await bench.gate.stop()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, EngineUnavailable) for result in results)
    assert bench.compiler.stopped
