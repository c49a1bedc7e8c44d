"""Work that may hang."""

from __future__ import annotations

import asyncio

import pytest

from lorabay.errors import SetupError
from lorabay.reconcile.bounded_work import WAIT_S, BoundedWork
from tests.virtual_time import quiet


class Job:
    """Work that ends when it may, and counts how often it was begun."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = asyncio.Event()
        self.error: Exception | None = None

    async def do(self) -> None:
        self.begun += 1
        await self.may_end.wait()
        if self.error is not None:
            raise self.error


async def test_whoever_asks_waits_for_the_end() -> None:
    """Of one piece of work, also if several ask at once; the next one is a new one."""
    job = Job()
    work = BoundedWork("it", job.do)
    assert not work.is_running
    asking = [asyncio.create_task(work.run()) for _ in range(3)]
    await quiet()
    assert work.is_running
    assert not any(task.done() for task in asking)
    job.may_end.set()
    await asyncio.gather(*asking)
    assert (job.begun, work.is_running) == (1, False)
    await work.run()
    assert job.begun == 2


async def test_a_failure_is_told_to_everybody() -> None:
    """Who waits hears of it, and it is over then."""
    job = Job()
    job.error = SetupError("no")
    job.may_end.set()
    work = BoundedWork("it", job.do)
    results = await asyncio.gather(work.run(), work.run(), return_exceptions=True)
    assert results == [job.error, job.error]
    assert not work.is_running


async def test_work_that_hangs_holds_nobody_up() -> None:
    """Who waits is told after a while, and the work goes on to its end."""
    job = Job()
    work = BoundedWork("the sweep", job.do)
    clock = asyncio.get_running_loop().time
    begin = clock()
    with pytest.raises(SetupError, match="the sweep has not ended"):
        await work.run()
    assert clock() - begin == pytest.approx(WAIT_S)
    assert work.is_running

    with pytest.raises(SetupError):
        await work.run()
    assert job.begun == 1
    job.may_end.set()
    await quiet()
    assert not work.is_running


async def test_whoever_waits_is_told_of_a_stop() -> None:
    """As of a failure; a caller that nobody cancelled is not told that it was cancelled."""
    job = Job()
    work = BoundedWork("the sweep", job.do)
    asking = asyncio.create_task(work.run())
    await quiet()
    await work.stop()
    with pytest.raises(SetupError, match="the sweep was given up: the server ends"):
        await asking
    assert not work.is_running


async def test_a_stop_does_not_wait_for_ever() -> None:
    """Also for work that cannot be cancelled; without any it returns at once."""

    async def hang() -> None:
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue

    may_end = asyncio.Event()
    work = BoundedWork("it", hang)
    await work.stop()
    with pytest.raises(SetupError):
        await work.run()
    await work.stop()
    assert work.is_running
    may_end.set()
    await quiet()
    assert not work.is_running
