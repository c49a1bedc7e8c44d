"""The tables of keys."""

from __future__ import annotations

from lorabay.accounts.keys.tables import KEYS
from lorabay.accounts.limits import LIMIT_NAMES


def test_a_key_has_a_column_for_each_limit() -> None:
    """Each of which may be left open, as its end may."""
    assert set(LIMIT_NAMES) <= set(KEYS.c.keys())
    assert all(KEYS.c[name].nullable for name in (*LIMIT_NAMES, "expires_at", "revoked_at"))


def test_no_column_holds_a_secret() -> None:
    """Hashes alone are kept."""
    assert {name for name in KEYS.c.keys() if "secret" in name} == {"secret_hash"}  # noqa: SIM118
