"""The desk: changes while a server runs."""

from __future__ import annotations

import pytest

from lorabay.accounts.database.database import Database
from lorabay.accounts.keys.desk import KeyDesk
from lorabay.accounts.keys.snapshot import KeySnapshot
from lorabay.accounts.keys.wishes import KeyWishes
from lorabay.errors import InvalidApiKey, KeyNotFound, SetupError


async def test_a_change_holds_when_its_call_returns(database: Database) -> None:
    """On the server whose desk it was."""
    snapshot = KeySnapshot(database, max_age_s=60)
    snapshot.load()
    desk = KeyDesk(database, snapshot)

    made = await desk.create(KeyWishes("CI", tenant="retail"), who="admin")
    assert snapshot.identify(made.text).tenant == "retail"
    assert await desk.listed() == await desk.listed("retail") == (made.key,)
    assert await desk.find("CI") == made.key

    rotated = await desk.rotate("CI", who="admin", overlap_s=0)
    assert snapshot.identify(rotated.text).id == made.key.id
    with pytest.raises(InvalidApiKey):
        snapshot.identify(made.text)

    ended = await desk.revoke("CI", who="admin")
    assert ended.revoked_by == "admin"
    with pytest.raises(InvalidApiKey, match="revoked"):
        snapshot.identify(rotated.text)
    with pytest.raises(KeyNotFound):
        await desk.find("nobody")


async def test_a_key_that_was_made_is_shown(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: if the database went right after that, nobody ever saw the key."""
    snapshot = KeySnapshot(database, max_age_s=60)
    snapshot.load()

    async def gone(work: object) -> None:
        raise SetupError("the database is gone")

    with monkeypatch.context() as patched:
        patched.setattr(database, "in_reader", gone)
        made = await KeyDesk(database, snapshot).create(KeyWishes("CI"), who="admin")
    await snapshot.refresh()
    assert snapshot.identify(made.text).id == made.key.id
