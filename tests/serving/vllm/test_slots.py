"""When vLLM is asked for the adapters in its slots."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from lorabay.serving.vllm.slots import POLL_S, SlotWatch, adapters_in_slots
from tests.virtual_time import quiet


class Worker:
    """vLLM's worker: `held` are in slots, `busy` says whether requests run."""

    def __init__(self) -> None:
        self.held = [1]
        self.busy = False
        self.questions = 0

    async def ask(self) -> list[int]:
        self.questions += 1
        return self.held


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
async def watch(worker: Worker) -> AsyncIterator[SlotWatch]:
    slots = SlotWatch(worker.ask, lambda: worker.busy)
    task = asyncio.create_task(slots.run())
    yield slots
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_nothing_is_known_before_the_first_answer(watch: SlotWatch, worker: Worker) -> None:
    """None is not an empty slot."""
    assert SlotWatch(worker.ask, lambda: False).held is None
    await quiet()
    assert watch.held == {1}


async def test_an_idle_engine_is_left_alone(watch: SlotWatch, worker: Worker) -> None:
    """Without requests nothing moves, so nothing is asked."""
    await asyncio.sleep(100 * POLL_S)
    assert worker.questions == 1


async def test_a_load_is_seen_soon(watch: SlotWatch, worker: Worker) -> None:
    """Whoever loads says so."""
    await asyncio.sleep(10)
    worker.held = [1, 2]
    watch.look_again()
    await quiet()
    assert watch.held == {1, 2}


async def test_running_requests_are_followed_to_their_end(watch: SlotWatch, worker: Worker) -> None:
    """What they bring into slots is seen within the pause, also what the last one did."""
    await quiet()
    worker.busy = True
    watch.look_again()
    await asyncio.sleep(10 * POLL_S)
    assert worker.questions >= 10
    worker.busy, worker.held = False, [3]
    await asyncio.sleep(2 * POLL_S)
    assert watch.held == {3}
    asked = worker.questions
    await asyncio.sleep(10 * POLL_S)
    assert worker.questions == asked


async def test_news_in_a_row_cost_one_question_a_pause(watch: SlotWatch, worker: Worker) -> None:
    """A thousand requests ask no more often than two."""
    for _ in range(1000):
        watch.look_again()
        await asyncio.sleep(POLL_S / 1000)
    assert worker.questions <= 3


async def test_pins_go_along_with_each_question() -> None:
    """As they are at that moment; the first worker answers for all."""
    asked: list[tuple[str, tuple[object, ...]]] = []

    class Llm:
        async def collective_rpc(self, method: str, args: tuple[object, ...]) -> list[list[int]]:
            asked.append((method, args))
            return [[3, 1], [3, 1]]

    llm: Any = Llm()
    pinned = [1]
    assert await adapters_in_slots(llm, lambda: list(pinned)) == [3, 1]
    pinned.append(3)
    await adapters_in_slots(llm, lambda: list(pinned))
    assert asked == [("adapters_in_slots", ([1],)), ("adapters_in_slots", ([1, 3],))]
