"""The book of keys, on both kinds of database."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import Connection

from lorabay.accounts.database.changes import newest_change
from lorabay.accounts.database.database import Database
from lorabay.accounts.keys import book
from lorabay.accounts.keys.book import NewKey
from lorabay.accounts.keys.key_form import new_key, read_key
from lorabay.accounts.keys.record import Key, KeyState
from lorabay.accounts.keys.wishes import KeyWishes
from lorabay.accounts.limits import Limits
from lorabay.errors import KeyConflict, KeyNotFound

NOW = 1_795_900_000


def make(database: Database, name: str = "CI", **wishes: Any) -> NewKey:
    wanted = KeyWishes(name, **wishes)
    return database.write(partial(book.create, wishes=wanted, who="cli:ada", now=NOW))


def found(database: Database, key: str) -> Key:
    return database.read(partial(book.find, key=key))


def test_a_key_is_kept_as_it_was_wanted(database: Database) -> None:
    """All of it, but its secret."""
    made = make(
        database,
        "Robert'); DROP TABLE keys;--",
        tenant="retail",
        adapters=("shop-*", "tag:legal"),
        endpoints=("chat", "embeddings"),
        limits=Limits(requests_per_minute=60, tokens_per_month=10**12, parallel=0),
        expires_at=NOW + 60,
    )
    sent = read_key(made.text)
    assert sent is not None
    kept = found(database, made.key.id)
    assert kept == made.key
    assert (kept.id, kept.secret_hash) == (sent.id, sent.secret_hash)
    assert (kept.name, kept.tenant) == ("Robert'); DROP TABLE keys;--", "retail")
    assert kept.adapters == ("shop-*", "tag:legal")
    assert kept.endpoints == ("chat", "embeddings")
    assert kept.limits == Limits(requests_per_minute=60, tokens_per_month=10**12, parallel=0)
    assert (kept.created_at, kept.created_by, kept.expires_at) == (NOW, "cli:ada", NOW + 60)


def test_the_database_holds_no_secret(database: Database) -> None:
    """Neither the text of a key nor its secret is in any row."""
    made = make(database)

    def rows(connection: Connection) -> str:
        return repr(connection.execute(text("SELECT * FROM keys")).all())

    assert made.text.split("_")[2] not in database.read(rows)
    assert made.text not in repr(made)
    assert made.as_dict()["key"] == made.text
    assert list(made.as_dict())[:2] == ["id", "key"]


def test_a_name_is_an_active_keys_alone_in_its_tenant(database: Database) -> None:
    """Another tenant may use it, and it is free when its key has ended."""
    first = make(database, tenant="a")
    make(database, tenant="b")
    with pytest.raises(KeyConflict, match="has an active key named 'CI'"):
        make(database, tenant="a")
    database.write(partial(book.revoke, key=first.key.id, who="admin", now=NOW))
    make(database, tenant="a", expires_at=NOW)
    make(database, tenant="a")


def test_a_rotated_key_keeps_its_id_and_for_a_while_its_secret(database: Database) -> None:
    """What it may use stays, too."""
    before = make(database, adapters=("finance",))
    after = database.write(partial(book.rotate, who="cli:ada", key="CI", overlap_s=60, now=NOW))
    assert after.text != before.text
    assert after.key.id == before.key.id
    assert after.key.adapters == ("finance",)
    assert after.key.former_hash == before.key.secret_hash
    assert after.key.former_until == NOW + 60

    at_once = database.write(partial(book.rotate, who="cli:ada", key="CI", overlap_s=0, now=NOW))
    assert (at_once.key.former_hash, at_once.key.former_until) == (None, None)


def test_a_revoked_key_stays_in_the_book(database: Database) -> None:
    """With who revoked it first, and it cannot be rotated."""
    made = make(database)
    for who in ("admin", "cli:eve"):
        ended = database.write(partial(book.revoke, key=made.key.id, who=who, now=NOW + 5))
        assert (ended.revoked_at, ended.revoked_by) == (NOW + 5, "admin")
    assert found(database, made.key.id).state(NOW) is KeyState.REVOKED
    with pytest.raises(KeyConflict, match="is revoked"):
        database.write(partial(book.rotate, who="cli:ada", key=made.key.id))


def test_an_expired_key_cannot_be_rotated(database: Database) -> None:
    """A new secret would open nothing."""
    made = make(database, expires_at=NOW)
    with pytest.raises(KeyConflict, match="is expired"):
        database.write(partial(book.rotate, who="cli:ada", key=made.key.id, now=NOW))


def test_a_key_is_found_by_its_id_or_its_name(database: Database) -> None:
    """A name that several have is not enough, and one that was revoked does not count."""
    one, other = make(database, tenant="a"), make(database, tenant="b")
    assert found(database, one.key.id) == one.key
    with pytest.raises(KeyConflict) as caught:
        found(database, "CI")
    assert one.key.id in caught.value.message
    assert other.key.id in caught.value.message
    database.write(partial(book.revoke, key=other.key.id, who="admin"))
    assert found(database, "CI") == one.key


@pytest.mark.parametrize(
    "key", ["", "nobody", "' OR 1=1 --", "\x1b[2J", "a\x00b", "\udcff", "x" * 5000]
)
def test_what_no_key_is_called_is_not_found(database: Database, key: str) -> None:
    """In a message that can be printed."""
    make(database)
    with pytest.raises(KeyNotFound) as caught:
        found(database, key)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 300


def test_a_pasted_key_is_not_told_to_logs(database: Database) -> None:
    """Somebody mistakes the key for its id."""
    secret = new_key("abcd1234")
    with pytest.raises(KeyNotFound) as caught:
        found(database, secret)
    assert secret not in caught.value.message


def test_keys_are_listed_by_tenant_and_name(database: Database) -> None:
    """All of them, or those of one tenant."""
    for tenant, name in (("b", "x"), ("a", "z"), ("a", "y")):
        make(database, name, tenant=tenant)
    listed = database.read(book.listed)
    assert [(key.tenant, key.name) for key in listed] == [("a", "y"), ("a", "z"), ("b", "x")]
    assert [key.name for key in database.read(partial(book.listed, tenant="b"))] == ["x"]
    for tenant in ("' OR 1=1", "a\x00b", "\udcff"):
        assert database.read(partial(book.listed, tenant=tenant)) == ()


def test_every_change_is_counted(database: Database) -> None:
    """And the changed keys are those behind a number; what failed is not counted."""
    first = make(database, "one")
    number = database.read(partial(newest_change, name="keys"))
    make(database, "two")
    database.write(partial(book.rotate, who="cli:ada", key="one"))
    with pytest.raises(KeyConflict):
        make(database, "two")
    changed = database.read(partial(book.changed_since, number=number))
    assert {key.name for key in changed} == {"one", "two"}
    assert database.read(partial(newest_change, name="keys")) == number + 2
    assert database.read(partial(book.changed_since, number=number + 2)) == ()
    assert first.key not in changed
