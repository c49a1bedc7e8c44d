"""In which order changes of adapters are made."""

from __future__ import annotations

import asyncio

import pytest

from lorabay.reconcile.turns import Change, Turns
from tests.virtual_time import quiet


class Work:
    """Changes that begin, wait to be let go, and end; `log` tells what happened."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self._go: dict[str, asyncio.Event] = {}

    def change(self, label: str) -> Change:
        go = self._go.setdefault(label, asyncio.Event())

        async def make() -> None:
            self.log.append(f"{label} begins")
            try:
                await go.wait()
            except asyncio.CancelledError:
                self.log.append(f"{label} is given up")
                raise
            self.log.append(f"{label} ends")

        return make

    def let_go(self, label: str) -> None:
        self._go[label].set()


@pytest.fixture
def work() -> Work:
    return Work()


async def test_different_adapters_change_side_by_side(work: Work) -> None:
    """One that waits holds up no other."""
    turns = Turns()
    for name in ("ads", "bank"):
        turns.start(name, work.change(name))
    await quiet()
    work.let_go("bank")
    await quiet()
    assert work.log == ["ads begins", "bank begins", "bank ends"]
    work.let_go("ads")
    await turns.idle()
    assert work.log[-1] == "ads ends"


async def test_of_one_adapters_changes_the_last_is_made_after_the_first(work: Work) -> None:
    """A change that was overtaken before its turn is never begun."""
    turns = Turns()
    turns.start("ads", work.change("1"))
    await quiet()
    for label in ("2", "3"):
        turns.start("ads", work.change(label))
        work.let_go(label)
    await quiet()
    assert work.log == ["1 begins"]
    work.let_go("1")
    await turns.idle()
    assert work.log == ["1 begins", "1 ends", "3 begins", "3 ends"]


async def test_a_change_waits_for_whoever_has_the_turn(work: Work) -> None:
    """An admin call and a folder's change of one adapter exclude each other."""
    turns = Turns()
    work.change("ads")
    work.let_go("ads")
    async with turns.turn("ads", "bank"):
        turns.start("ads", work.change("ads"))
        await quiet()
        assert not work.log
    await turns.idle()
    assert work.log == ["ads begins", "ads ends"]


async def test_a_change_that_is_given_up_may_clean_up_before_the_next(work: Work) -> None:
    """A change that waits is given up with it; a later one has its turn when it has ended."""
    turns = Turns()
    turns.start("ads", work.change("1"))
    await quiet()
    turns.start("ads", work.change("2"))
    turns.cancel("ads")
    turns.start("ads", work.change("3"))
    work.let_go("3")
    await turns.idle()
    assert work.log == ["1 begins", "1 is given up", "3 begins", "3 ends"]
    turns.cancel("nobody")


async def test_a_bug_in_a_change_stops_no_other(work: Work) -> None:
    """It is logged, and the adapter can change again."""

    async def stumble() -> None:
        raise ZeroDivisionError

    turns = Turns()
    turns.start("ads", stumble)
    await turns.idle()
    turns.start("ads", work.change("1"))
    work.let_go("1")
    await turns.idle()
    assert work.log == ["1 begins", "1 ends"]


async def test_the_stop_leaves_nothing_running(work: Work) -> None:
    """Every change is given up, and has ended when the stop returns."""
    turns = Turns()
    for name in ("ads", "bank"):
        turns.start(name, work.change(name))
    await quiet()
    await turns.stop()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert sorted(work.log[2:]) == ["ads is given up", "bank is given up"]
