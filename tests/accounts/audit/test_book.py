"""The book of the audit, on both kinds of database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, update
from sqlalchemy.engine import Connection

from lorabay.accounts.audit import book
from lorabay.accounts.audit.deeds import Deed
from lorabay.accounts.audit.questions import Question
from lorabay.accounts.audit.tables import AUDIT
from lorabay.accounts.audit.verdict import Anchor, Verdict
from lorabay.accounts.database.changes import CHANGES
from lorabay.accounts.database.database import Database, open_database
from lorabay.accounts.keys import book as keys
from lorabay.accounts.keys.wishes import KeyWishes
from lorabay.accounts.ledger.rules_table import set_limits
from lorabay.accounts.ledger.scopes import ScopeKind
from lorabay.accounts.limits import UNLIMITED, Limits
from lorabay.errors import KeyConflict

NOW = 1_795_900_000.0


def fill(database: Database, count: int) -> None:
    def work(connection: Connection) -> None:
        for number in range(1, count + 1):
            deed = Deed("admin", "adapter.pinned", f"adapter-{number}")
            book.record(connection, deed, now=NOW + number)

    database.write(work)


def check(database: Database, anchor: Anchor | None = None) -> Verdict:
    return database.read(partial(book.verify, anchor=anchor))


def rows(database: Database, **question: Any) -> list[dict[str, Any]]:
    found = database.read(partial(book.listed, question=Question(**question)))
    return [row.as_dict() for row in found]


def test_an_empty_book_is_whole(database: Database) -> None:
    """Its head is no row."""
    verdict = check(database)
    assert verdict.is_whole
    assert (verdict.rows, verdict.head.number) == (0, 0)


def test_a_whole_book_is_whole(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several reads, and the head is the newest row."""
    monkeypatch.setattr(book, "READ_AT_ONCE", 3)
    fill(database, 10)
    verdict = check(database)
    assert (verdict.is_whole, verdict.rows, verdict.head.number) == (True, 10, 10)
    assert [row["number"] for row in rows(database)] == list(range(10, 0, -1))
    assert [row["number"] for row in rows(database, limit=4)] == [10, 9, 8, 7]
    assert rows(database, target="adapter-2")[0]["number"] == 2


def change(**values: object) -> Callable[[Connection], object]:
    return lambda connection: connection.execute(
        update(AUDIT).where(AUDIT.c.number == 4).values(values)
    )


def flip_a_byte(connection: Connection) -> None:
    entry = bytearray(connection.execute(AUDIT.select().where(AUDIT.c.number == 4)).one().entry)
    entry[30] ^= 1
    change(entry=bytes(entry))(connection)


def put_in(connection: Connection) -> None:
    row = {"number": 0, "entry": b"{}", "hash": bytes(32)}
    connection.execute(insert(AUDIT).values(row))


def move(connection: Connection) -> None:
    for before, after in ((4, 100), (5, 4), (100, 5)):
        connection.execute(update(AUDIT).where(AUDIT.c.number == before).values(number=after))


def number_anew(connection: Connection) -> None:
    connection.execute(delete(AUDIT).where(AUDIT.c.number == 4))
    for number in (5, 6):
        connection.execute(update(AUDIT).where(AUDIT.c.number == number).values(number=number - 1))


DAMAGES: dict[str, tuple[int, Callable[[Connection], object]]] = {
    "a byte": (4, flip_a_byte),
    "a hash": (4, change(hash=bytes(32))),
    "what is no row": (4, change(entry=b"\xff")),
    "taken out": (
        4,
        lambda connection: connection.execute(delete(AUDIT).where(AUDIT.c.number == 4)),
    ),
    "the newest taken away": (
        6,
        lambda connection: connection.execute(delete(AUDIT).where(AUDIT.c.number == 6)),
    ),
    "all taken away": (1, lambda connection: connection.execute(delete(AUDIT))),
    "put in": (0, put_in),
    "two exchanged": (4, move),
    "numbered anew": (4, number_anew),
    "counted anew": (
        6,
        lambda connection: connection.execute(
            update(CHANGES).where(CHANGES.c.name == "audit").values(counter=5)
        ),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_first_row_that_does_not_fit_is_named(database: Database, damage: str) -> None:
    """Whatever was done to the table, and it stays so when rows are added."""
    fill(database, 6)
    number, work = DAMAGES[damage]
    database.write(work)
    verdict = check(database)
    assert not verdict.is_whole
    assert verdict.broken == number
    assert verdict.reason
    if damage != "counted anew":
        database.write(lambda connection: book.record(connection, Deed("admin", "x.y")))
        assert check(database).broken == number
    assert rows(database) is not None


def test_a_byte_that_is_flipped_in_the_file_is_found(database_folder: Path) -> None:
    """The table lies open to whoever may write to the disk."""
    file = database_folder / "accounts.db"
    with open_database(file) as database:
        fill(database, 5)
    content = bytearray(file.read_bytes())
    content[content.index(b"adapter-3")] ^= 0x80
    file.write_bytes(content)
    with open_database(file) as database:
        assert check(database).broken == 3
        assert rows(database)[2] == {"number": 3, "result": "this row cannot be read"}


def test_a_noted_row_finds_what_was_computed_anew(database: Database) -> None:
    """A chain that fits in itself is not the one that was noted, or is too short."""
    fill(database, 6)
    noted = check(database).head

    def begin_again(connection: Connection) -> None:
        connection.execute(delete(AUDIT))
        connection.execute(update(CHANGES).where(CHANGES.c.name == "audit").values(counter=0))

    assert check(database, noted).is_whole
    database.write(begin_again)
    assert check(database).is_whole
    assert check(database, noted).broken == 1
    database.write(lambda connection: book.record(connection, Deed("eve", "x.y"), now=NOW))
    fill(database, 5)
    assert check(database).is_whole
    assert check(database, noted).broken == 6


def test_changes_of_keys_and_limits_are_in_the_book(database: Database) -> None:
    """With who did it, what was done, and no secret; what failed or changed nothing is not."""
    wishes = KeyWishes("CI", tenant="acme", adapters=("shop-*",), limits=Limits(parallel=2))
    made = database.write(
        partial(keys.create, wishes=wishes, who="cli:ada", request_id="r-1", now=NOW)
    )
    with pytest.raises(KeyConflict):
        database.write(partial(keys.create, wishes=wishes, who="cli:eve", now=NOW))
    rotated = database.write(partial(keys.rotate, key="CI", who="admin", overlap_s=60, now=NOW))
    database.write(partial(keys.revoke, key=made.key.id, who="oidc:bob", now=NOW))
    database.write(partial(keys.revoke, key=made.key.id, who="oidc:bob", now=NOW))
    place = (ScopeKind.TENANT, "acme")
    for limits in (Limits(parallel=1), UNLIMITED):
        database.write(partial(set_limits, place=place, limits=limits, who="cli"))

    told = rows(database)[::-1]
    assert [(row["who"], row["action"], row["target"]) for row in told] == [
        ("cli:ada", "key.create", made.key.id),
        ("admin", "key.rotate", made.key.id),
        ("oidc:bob", "key.revoke", made.key.id),
        ("cli", "limits.set", "tenant:acme"),
        ("cli", "limits.set", "tenant:acme"),
    ]
    assert told[0]["request_id"] == "r-1"
    assert told[0]["detail"] == {
        "name": "CI",
        "tenant": "acme",
        "adapters": ["shop-*"],
        "endpoints": None,
        "limits": {"parallel": 2},
        "expires_at": None,
    }
    assert told[4]["detail"] == {"former": {"parallel": 1}, "limits": {}}
    for secret in (made.text, rotated.text):
        assert secret.split("_")[2] not in repr(told)
    assert check(database).is_whole


def test_several_servers_write_one_chain(database_url: str) -> None:
    """All at once, each change with its row: no number twice, and none left out."""
    each, servers = 8, 3

    def work(name: str) -> None:
        with open_database(database_url) as database:
            for number in range(each):
                wishes = KeyWishes(f"{name}-{number}")
                made = database.write(partial(keys.create, wishes=wishes, who=name))
                place = (ScopeKind.KEY_ON_ADAPTER, f"{made.key.id}/x")
                database.write(
                    partial(set_limits, place=place, limits=Limits(parallel=1), who=name)
                )

    with open_database(database_url) as database:
        threads = [threading.Thread(target=work, args=(f"s{one}",)) for one in range(servers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        verdict = check(database)
        assert (verdict.is_whole, verdict.rows) == (True, 2 * each * servers)
