"""The book of keys: making, rotating, revoking and listing them, as work on a connection.

Each function runs inside a transaction of `Database`, and each change is counted in it, so that all
servers take it up. A key's text is returned once, when its secret is made; the database keeps the
hash. Each change is written to the audit, too, in the same transaction.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, or_, select, update

from lorabay.accounts.audit.book import record
from lorabay.accounts.audit.deeds import Deed
from lorabay.accounts.database.changes import count_change
from lorabay.accounts.keys.key_form import looks_like_key, new_id, new_key, read_key
from lorabay.accounts.keys.record import KEYS_CHANGE, Key, KeyState, shown_time
from lorabay.accounts.keys.tables import KEYS, TENANTS
from lorabay.accounts.limits import LIMIT_NAMES, Limits
from lorabay.errors import SHOWN_CHARS, KeyConflict, KeyNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.engine import Connection, Row

    from lorabay.accounts.keys.wishes import KeyWishes

DEFAULT_OVERLAP_S = 24 * 60 * 60
"""How long the former secret is taken after a rotation: a day to change it everywhere."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key, and its text, which is known now and never again."""

    key: Key
    text: str = field(repr=False)

    def as_dict(self) -> dict[str, object]:
        """Return the key with its text."""
        described = self.key.as_dict()
        return {"id": described.pop("id"), "key": self.text, **described}


def create(
    connection: Connection,
    wishes: KeyWishes,
    *,
    who: str,
    request_id: str | None = None,
    now: float | None = None,
) -> NewKey:
    """Make a key, and its tenant if there is none of that name. Raises KeyConflict for a name that
    an active key of the tenant has.
    """
    moment = _whole(now)
    number = count_change(connection, KEYS_CHANGE)
    _ensure_tenant(connection, wishes.tenant, moment)
    if _active_of_name(connection, wishes.tenant, wishes.name, moment):
        raise KeyConflict(
            f"tenant {wishes.tenant!r} has an active key named {wishes.name!r}: "
            "choose another name, or rotate that one"
        )

    key_id = _free_id(connection)
    text = new_key(key_id)
    row = {
        "id": key_id,
        "name": wishes.name,
        "tenant": wishes.tenant,
        "secret_hash": _hash_of(text),
        "adapters": ",".join(wishes.adapters),
        "endpoints": None if wishes.endpoints is None else ",".join(wishes.endpoints),
        "created_at": moment,
        "created_by": who,
        "expires_at": wishes.expires_at,
        "change": number,
        **wishes.limits.as_dict(),
    }
    connection.execute(insert(KEYS).values(row))
    made = _get(connection, key_id)
    record(connection, Deed(who, "key.create", key_id, _told(made), request_id=request_id), now=now)
    return NewKey(made, text)


def rotate(
    connection: Connection,
    key: str,
    *,
    who: str,
    request_id: str | None = None,
    overlap_s: int = DEFAULT_OVERLAP_S,
    now: float | None = None,
) -> NewKey:
    """Give the key of this id or name a new secret; the former one is taken for `overlap_s` more.

    Raises KeyNotFound or KeyConflict.
    """
    moment = _whole(now)
    number = count_change(connection, KEYS_CHANGE)
    found = find(connection, key)
    _refuse_ended(found, moment)

    text = new_key(found.id)
    changes: dict[str, object] = {
        "secret_hash": _hash_of(text),
        "former_hash": None,
        "former_until": None,
        "change": number,
    }
    if overlap_s > 0:
        changes |= {"former_hash": found.secret_hash, "former_until": moment + overlap_s}
    connection.execute(update(KEYS).where(KEYS.c.id == found.id).values(changes))
    detail = {"name": found.name, "tenant": found.tenant, "overlap_s": overlap_s}
    record(connection, Deed(who, "key.rotate", found.id, detail, request_id=request_id), now=now)
    return NewKey(_get(connection, found.id), text)


def revoke(
    connection: Connection,
    key: str,
    *,
    who: str,
    request_id: str | None = None,
    now: float | None = None,
) -> Key:
    """End the key of this id or name for ever, and return it; one that is revoked stays as it is.

    Raises KeyNotFound or KeyConflict.
    """
    number = count_change(connection, KEYS_CHANGE)
    found = find(connection, key)
    if found.revoked_at is None:
        changes = {"revoked_at": _whole(now), "revoked_by": who, "change": number}
        connection.execute(update(KEYS).where(KEYS.c.id == found.id).values(changes))
        detail = {"name": found.name, "tenant": found.tenant}
        deed = Deed(who, "key.revoke", found.id, detail, request_id=request_id)
        record(connection, deed, now=now)
    return _get(connection, found.id)


def listed(connection: Connection, *, tenant: str | None = None) -> tuple[Key, ...]:
    """Return all keys, or those of a tenant, by tenant and name, the oldest first."""
    wanted = select(KEYS).order_by(KEYS.c.tenant, KEYS.c.name, KEYS.c.created_at, KEYS.c.id)
    if tenant is not None:
        # No name holds such characters, and databases refuse some of them.
        if not tenant.isprintable():
            return ()
        wanted = wanted.where(KEYS.c.tenant == tenant)
    return tuple(map(_key_of, connection.execute(wanted)))


def changed_since(connection: Connection, number: int) -> tuple[Key, ...]:
    """Return the keys that were changed behind a change of this number."""
    wanted = select(KEYS).where(KEYS.c.change > number)
    return tuple(map(_key_of, connection.execute(wanted)))


def find(connection: Connection, key: str) -> Key:
    """Return the key of this id, or the only one of this name that is not revoked.

    Raises KeyNotFound, and KeyConflict if several have the name.
    """
    wanted = select(KEYS).where(or_(KEYS.c.id == key, KEYS.c.name == key))
    # No name holds such characters, and databases refuse some of them.
    rows = connection.execute(wanted) if key.isprintable() else ()
    found = [_key_of(row) for row in rows]
    for one in found:
        if one.id == key:
            return one

    alive = [one for one in found if one.revoked_at is None]
    if len(alive) > 1:
        ids = ", ".join(sorted(one.id for one in alive))
        raise KeyConflict(f"several keys are named {key!r}: say which by its id, of {ids}")
    if not alive:
        raise KeyNotFound(f"there is no key of the id or name {_shown(key)}")
    return alive[0]


def _told(key: Key) -> dict[str, object]:
    """Return what the audit tells of a new key: all that was wanted of it."""
    limits = {name: limit for name, limit in key.limits.as_dict().items() if limit is not None}
    return {
        "name": key.name,
        "tenant": key.tenant,
        "adapters": list(key.adapters),
        "endpoints": None if key.endpoints is None else list(key.endpoints),
        "limits": limits,
        "expires_at": shown_time(key.expires_at),
    }


def _shown(key: str) -> str:
    """Return what somebody named, unless it is a key's own text, which no log should hold."""
    return "that was given" if looks_like_key(key) else ascii(key[:SHOWN_CHARS])


def _refuse_ended(key: Key, now: int) -> None:
    state = key.state(now)
    if state is not KeyState.ACTIVE:
        raise KeyConflict(f"key {key.id} is {state}: create another one")


def _ensure_tenant(connection: Connection, tenant: str, now: int) -> None:
    # Nobody else makes one meanwhile: the counter's row is locked until this transaction ends.
    known = connection.execute(select(TENANTS.c.id).where(TENANTS.c.id == tenant)).first()
    if known is None:
        connection.execute(insert(TENANTS).values(id=tenant, created_at=now))


def _active_of_name(connection: Connection, tenant: str, name: str, now: int) -> bool:
    wanted = select(KEYS).where(KEYS.c.tenant == tenant, KEYS.c.name == name)
    found: Iterable[Key] = map(_key_of, connection.execute(wanted))
    return any(key.state(now) is KeyState.ACTIVE for key in found)


def _free_id(connection: Connection) -> str:
    while True:
        key_id = new_id()
        if connection.execute(select(KEYS.c.id).where(KEYS.c.id == key_id)).first() is None:
            return key_id


def _get(connection: Connection, key_id: str) -> Key:
    return _key_of(connection.execute(select(KEYS).where(KEYS.c.id == key_id)).one())


def _key_of(row: Row[Any]) -> Key:
    limits = {name: getattr(row, name) for name in LIMIT_NAMES}
    return Key(
        id=row.id,
        name=row.name,
        tenant=row.tenant,
        secret_hash=bytes(row.secret_hash),
        adapters=tuple(row.adapters.split(",")),
        endpoints=None if row.endpoints is None else tuple(row.endpoints.split(",")),
        limits=Limits(**limits),
        created_at=row.created_at,
        created_by=row.created_by,
        former_hash=None if row.former_hash is None else bytes(row.former_hash),
        former_until=row.former_until,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
    )


def _hash_of(text: str) -> bytes:
    key = read_key(text)
    assert key is not None  # noqa: S101 - it was just made
    return key.secret_hash


def _whole(now: float | None) -> int:
    return int(time.time() if now is None else now)
