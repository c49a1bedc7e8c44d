"""One server's view of a cluster, over a real database."""

from __future__ import annotations

import asyncio
import time

import pytest

from lorabay.accounts.agreement import agreement as module
from lorabay.accounts.agreement.agreement import Agreement
from lorabay.accounts.agreement.names import Front
from lorabay.accounts.database.database import Database
from lorabay.errors import SetupError


async def test_two_servers_see_one_cluster(database: Database) -> None:
    """One holds the office and tells, the other hears and asks."""
    keeper, other = (Agreement(database, "shop", name) for name in "ab")
    holder = await keeper.take(None)
    assert holder is not None
    assert await other.take(None) is None
    number = await keeper.publish(holder, {"finance": "told"}, 0)
    await keeper.keep(holder, number)
    view = await other.look(since=-1, with_errands=False)
    assert (view.told, view.fronts) == ({"finance": "told"}, {"a": Front(0, number)})

    await other.report(number)
    await keeper.settle(holder, number)
    await other.ask("1", "pin")
    seen = await keeper.look(since=number, with_errands=True)
    assert seen.errands == {"1": "pin"}
    assert seen.fronts["b"].seen == number
    await keeper.answer("1", "done")
    assert await other.answer_of("1") == "done"
    await other.take_back("1")

    await keeper.forget("b")
    await keeper.leave(holder)
    left = await other.look(since=number, with_errands=True)
    assert (left.fronts, left.errands) == ({}, {})
    assert await other.take(left.holder) is not None


async def test_a_database_that_hangs_is_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks goes on after a while."""
    monkeypatch.setattr(module, "STATEMENT_S", 0.05)
    monkeypatch.setattr(database, "read", lambda work: time.sleep(0.5))
    with pytest.raises(SetupError, match="does not answer"):
        async with asyncio.timeout(10):
            await Agreement(database, "shop", "a").look(since=-1, with_errands=False)
