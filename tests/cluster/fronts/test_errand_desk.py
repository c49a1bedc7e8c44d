"""Errands between two servers, over a real database."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from lorabay.accounts.agreement.agreement import Agreement
from lorabay.accounts.database.database import Database
from lorabay.cluster.fronts import errand_desk
from lorabay.cluster.fronts.errand_desk import ErrandDesk
from lorabay.cluster.fronts.errands import Errand
from lorabay.errors import SetupError, StorageUnavailable
from lorabay.reconcile.events import Actor

ERRAND = Errand("pin", {"name": "finance"}, Actor("admin"))


async def agreed() -> int:
    return 7


async def test_an_errand_is_carried_out_once(database: Database) -> None:
    """However often the keeper finds it, and nothing of it is left."""
    asking = Agreement(database, "shop", "a")
    keeping = Agreement(database, "shop", "b")
    desk, made = ErrandDesk(keeping), list[str]()

    async def carry_out(method: str, arguments: Mapping[str, Any], who: Actor) -> Any:
        made.append(method)
        await asyncio.sleep(0.1)
        return arguments["name"]

    asked = asyncio.create_task(ErrandDesk(asking).ask(ERRAND))
    seen: dict[str, str] = {}
    while not asked.done():
        view = await keeping.look(since=-1, with_errands=True)
        seen |= view.errands
        # Also what a look has found that was answered meanwhile.
        desk.begin(seen, carry_out, agreed)
        await asyncio.sleep(0.01)
    assert await asked == (7, "finance")
    desk.begin(seen, carry_out, agreed)
    assert made == ["pin"]
    assert (await keeping.look(since=-1, with_errands=True)).errands == {}


async def test_an_answer_that_was_not_written_is_written_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change itself is not made twice."""
    agreement = Agreement(database, "shop", "a")
    await agreement.ask("1", ERRAND.as_text())
    desk, made = ErrandDesk(agreement), list[str]()

    async def carry_out(method: str, arguments: Mapping[str, Any], who: Actor) -> Any:
        made.append(method)
        return "done"

    async def away(*_: object) -> None:
        raise SetupError("away")

    with monkeypatch.context() as outage:
        outage.setattr(agreement, "answer", away)
        desk.begin({"1": ERRAND.as_text()}, carry_out, agreed)
        await asyncio.sleep(0.05)
    assert await agreement.answer_of("1") is None
    desk.begin({"1": ERRAND.as_text()}, carry_out, agreed)
    async with asyncio.timeout(10):
        while await agreement.answer_of("1") is None:
            await asyncio.sleep(0.01)
    assert made == ["pin"]


async def test_what_is_given_up_is_found_again(database: Database) -> None:
    """A keeper that stops leaves its errands to the next one."""
    agreement = Agreement(database, "shop", "a")
    await agreement.ask("1", ERRAND.as_text())
    desk, begun = ErrandDesk(agreement), list[str]()

    async def carry_out(method: str, arguments: Mapping[str, Any], who: Actor) -> Any:
        begun.append(method)
        await asyncio.Event().wait()

    for _ in range(2):
        desk.begin({"1": ERRAND.as_text()}, carry_out, agreed)
        await asyncio.sleep(0.01)
        desk.stop()
        await asyncio.sleep(0.01)
    assert begun == ["pin", "pin"]
    assert (await agreement.look(since=-1, with_errands=True)).errands


@pytest.mark.parametrize("failure", ["nobody", "database"])
async def test_without_an_answer_there_is_a_reason(
    database: Database, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    """Nobody keeps the names, or the database is away."""
    monkeypatch.setattr(errand_desk, "ANSWER_S", 0.2)
    agreement = Agreement(database, "shop", "a")
    if failure == "database":

        async def away(*_: object) -> None:
            raise SetupError("away")

        monkeypatch.setattr(agreement, "ask", away)
        monkeypatch.setattr(agreement, "take_back", away)
    with pytest.raises(StorageUnavailable, match="try again"):
        await ErrandDesk(agreement).ask(ERRAND)
