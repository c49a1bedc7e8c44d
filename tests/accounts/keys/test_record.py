"""One key, described."""

from __future__ import annotations

import json

from lorabay.accounts.keys.record import Key, KeyState, shown_time
from lorabay.accounts.limits import Limits
from tests.versions import make_version

NOW = 1_795_900_000
KEY = Key(
    id="abcd1234",
    name="CI",
    tenant="retail",
    secret_hash=b"secret" * 5,
    former_hash=b"former" * 5,
    adapters=("shop-*",),
    endpoints=("chat",),
    limits=Limits(parallel=2),
    created_at=NOW,
    created_by="cli:ada",
    expires_at=NOW + 60,
)


def test_a_key_is_active_until_it_ends() -> None:
    """At the second of its end it is over; revoked is stronger than expired."""
    assert KEY.state(NOW + 59.9) is KeyState.ACTIVE
    assert KEY.state(NOW + 60) is KeyState.EXPIRED
    revoked = Key(**{name: getattr(KEY, name) for name in Key.__slots__} | {"revoked_at": NOW})
    assert revoked.state(NOW + 60) is KeyState.REVOKED


def test_the_caller_is_who_the_key_says() -> None:
    """With what it may use, and its limits."""
    caller = KEY.caller()
    assert (caller.id, caller.tenant, caller.limits) == ("abcd1234", "retail", Limits(parallel=2))
    assert caller.permissions.allows(make_version("shop-eu"))
    assert not caller.permissions.allows(make_version("finance"))
    assert not caller.permissions.allows_endpoint("embeddings")


def test_a_key_is_described_without_its_hashes() -> None:
    """In plain values, also by `repr`."""
    text = json.dumps(KEY.as_dict(NOW)) + repr(KEY)
    assert "secret" * 2 not in text
    assert "former" * 2 not in text
    assert KEY.as_dict(NOW)["state"] == "active"
    assert KEY.as_dict(NOW)["parallel"] == 2


def test_times_are_told_in_utc() -> None:
    """As ISO 8601 has it."""
    assert shown_time(0) == "1970-01-01T00:00:00Z"
    assert shown_time(None) is None
