"""The keys in memory: who they let in, and how changes reach them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event, text

from lorabay.accounts.database.database import Database
from lorabay.accounts.keys import book
from lorabay.accounts.keys.book import NewKey
from lorabay.accounts.keys.key_form import new_key
from lorabay.accounts.keys.snapshot import KeySnapshot
from lorabay.accounts.keys.wishes import KeyWishes
from lorabay.errors import InvalidApiKey, SetupError, StorageUnavailable
from tests.clocks import Clock

MAX_AGE_S = 100.0
PATIENCE_S = 60.0


@pytest.fixture
def clock() -> Clock:
    return Clock(1_795_900_000.0)


@pytest.fixture
def snapshot(database: Database, clock: Clock) -> KeySnapshot:
    made = KeySnapshot(database, max_age_s=MAX_AGE_S, clock=clock, wall=clock)
    made.load()
    return made


def make(database: Database, name: str = "CI", **wishes: Any) -> NewKey:
    return database.write(partial(book.create, wishes=KeyWishes(name, **wishes), who="cli"))


async def test_a_key_lets_its_caller_in(database: Database, snapshot: KeySnapshot) -> None:
    """Once the change is taken up."""
    made = make(database, tenant="retail", adapters=("finance",))
    with pytest.raises(InvalidApiKey):
        snapshot.identify(made.text)
    await snapshot.refresh()
    assert snapshot.identify(made.text) == made.key.caller()
    assert len(snapshot) == 1


async def test_other_keys_do_not(database: Database, snapshot: KeySnapshot) -> None:
    """A mistyped one, another secret of the same id, and one of another server."""
    made = make(database)
    await snapshot.refresh()
    for wrong, words in (
        (made.text[:-1], "mistyped"),
        (made.text.swapcase(), "mistyped"),
        (new_key(made.key.id), "does not know"),
        (new_key("zzzzzzzz"), "does not know"),
    ):
        with pytest.raises(InvalidApiKey, match=words) as caught:
            snapshot.identify(wrong)
        assert wrong.split("_")[2] not in caught.value.message


async def test_a_revoked_key_says_so_to_its_holder(
    database: Database, snapshot: KeySnapshot
) -> None:
    """And to nobody else."""
    made = make(database)
    database.write(partial(book.revoke, key=made.key.id, who="admin", now=0))
    await snapshot.refresh()
    with pytest.raises(InvalidApiKey, match="was revoked at 1970-01-01"):
        snapshot.identify(made.text)
    with pytest.raises(InvalidApiKey, match="does not know"):
        snapshot.identify(new_key(made.key.id))


async def test_a_key_ends_by_the_wall_clock(
    database: Database, snapshot: KeySnapshot, clock: Clock
) -> None:
    """Without a look at the database; a clock that jumps back brings it back."""
    made = make(database, expires_at=int(clock.now) + 10)
    await snapshot.refresh()
    clock.now += 9.9
    assert snapshot.identify(made.text).id == made.key.id
    clock.now += 0.1
    with pytest.raises(InvalidApiKey, match="expired at"):
        snapshot.identify(made.text)
    clock.now -= 5
    assert snapshot.identify(made.text).id == made.key.id


async def test_both_secrets_of_a_rotated_key_are_taken_for_a_while(
    database: Database, snapshot: KeySnapshot, clock: Clock
) -> None:
    """They are one caller; behind the overlap only the new one is."""
    before = make(database)
    rotate = partial(book.rotate, who="cli:ada", key="CI", overlap_s=10, now=clock.now)
    after = database.write(rotate)
    await snapshot.refresh()
    assert snapshot.identify(before.text) == snapshot.identify(after.text)
    clock.now += 10
    assert snapshot.identify(after.text).id == after.key.id
    with pytest.raises(InvalidApiKey, match="no longer"):
        snapshot.identify(before.text)


async def test_requests_ask_the_database_nothing(database: Database, snapshot: KeySnapshot) -> None:
    """Right keys and wrong ones are answered from memory, and a look is one statement."""
    statements: list[str] = []
    made = make(database)
    await snapshot.refresh()

    @event.listens_for(database.engine, "before_cursor_execute")
    def note(_: object, __: object, statement: str, *___: object) -> None:
        statements.append(statement)

    for _ in range(100):
        snapshot.identify(made.text)
        for wrong in ("lb_", made.text[:-1], new_key(made.key.id)):
            with pytest.raises(InvalidApiKey):
                snapshot.identify(wrong)
    assert statements == []
    await snapshot.refresh()
    assert len([one for one in statements if one.startswith("SELECT")]) == 1


async def test_keys_are_taken_from_memory_for_a_bounded_time(
    database: Database, snapshot: KeySnapshot, clock: Clock
) -> None:
    """And again as soon as the database answers."""
    made = make(database)
    await snapshot.refresh()
    clock.now += MAX_AGE_S
    assert snapshot.age_s == MAX_AGE_S
    assert snapshot.identify(made.text).id == made.key.id
    clock.now += 1
    with pytest.raises(StorageUnavailable) as caught:
        snapshot.identify(made.text)
    assert caught.value.retry_after
    await snapshot.refresh()
    assert snapshot.identify(made.text).id == made.key.id


async def test_a_database_that_was_restored_is_read_anew(
    database: Database, snapshot: KeySnapshot
) -> None:
    """Its numbers go back, and a key that it no longer holds opens nothing."""
    kept, lost = make(database, "kept"), make(database, "lost")
    await snapshot.refresh()
    database.write(
        lambda connection: [
            connection.execute(text("DELETE FROM keys WHERE name = 'lost'")),
            connection.execute(text("UPDATE changes SET counter = 1")),
        ]
    )
    await snapshot.refresh()
    assert snapshot.identify(kept.text).id == kept.key.id
    with pytest.raises(InvalidApiKey):
        snapshot.identify(lost.text)


async def test_an_old_look_does_not_undo_a_newer_one(
    database: Database, snapshot: KeySnapshot
) -> None:
    """Two looks at once: whatever comes back last, the newest state holds."""
    made = make(database)
    looks = [asyncio.create_task(snapshot.refresh()) for _ in range(4)]
    database.write(partial(book.revoke, key=made.key.id, who="admin"))
    looks += [asyncio.create_task(snapshot.refresh()) for _ in range(4)]
    await asyncio.gather(*looks)
    await snapshot.refresh()
    with pytest.raises(InvalidApiKey, match="revoked"):
        snapshot.identify(made.text)


async def until(holds: Callable[[], bool]) -> None:
    """Return when something holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.01)


async def test_a_refresh_ends_with_what_was_there_when_it_began(
    database: Database, snapshot: KeySnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: a look that was overtaken by an older one dropped what it saw, such as a revocation."""
    gates = [asyncio.Event(), asyncio.Event()]
    waiting, has_read = iter(gates), asyncio.Queue[None]()
    read = database.in_reader

    async def held_back(work: Any) -> Any:
        news = await read(work)
        has_read.put_nowait(None)
        gate = next(waiting, None)
        if gate is not None:
            await gate.wait()
        return news

    monkeypatch.setattr(database, "in_reader", held_back)
    made = make(database)
    older = asyncio.create_task(snapshot.refresh())
    await has_read.get()
    database.write(partial(book.revoke, key=made.key.id, who="admin"))
    newer = asyncio.create_task(snapshot.refresh())
    await has_read.get()

    gates[0].set()
    await older
    assert snapshot.identify(made.text).id == made.key.id
    gates[1].set()
    await newer
    with pytest.raises(InvalidApiKey, match="was revoked"):
        snapshot.identify(made.text)


async def test_following_survives_a_database_that_goes_and_comes_back(
    database: Database, snapshot: KeySnapshot, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """A bug in between does not end it, either; the key is taken all the while."""
    failures: list[Exception] = [SetupError("gone"), SetupError("gone"), ValueError("a bug")]
    read = database.in_reader

    async def failing(work: Any) -> Any:
        if failures:
            raise failures.pop(0)
        return await read(work)

    monkeypatch.setattr("lorabay.accounts.keys.snapshot.POLL_S", 0.001)
    monkeypatch.setattr(database, "in_reader", failing)
    made = make(database)
    snapshot.load()
    database.write(partial(book.revoke, key=made.key.id, who="admin"))
    following = asyncio.create_task(snapshot.follow())
    assert snapshot.identify(made.text).id == made.key.id

    def is_revoked() -> bool:
        try:
            snapshot.identify(made.text)
        except InvalidApiKey:
            return True
        return False

    await until(is_revoked)
    assert failures == []
    following.cancel()
