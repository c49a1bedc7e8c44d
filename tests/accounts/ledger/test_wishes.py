"""Limits that somebody wants to set."""

from __future__ import annotations

from typing import Any

import pytest

from lorabay.accounts.ledger.scopes import ScopeKind
from lorabay.accounts.ledger.wishes import OPERATORS_KEY, read_wish
from lorabay.accounts.limits import UNLIMITED, Limits
from lorabay.api.auth import KEY_OWNER
from lorabay.errors import InvalidRequest


def wish(limits: dict[str, Any] | None = None, **names: Any) -> Any:
    given = {"tenant": None, "adapter": None, "key": None} | names
    return read_wish(**given, limits=limits or {})


def test_one_thing_is_limited() -> None:
    """A tenant, an adapter, or a key on an adapter; without limits it has none."""
    assert wish({"parallel": 2}, tenant="acme") == ((ScopeKind.TENANT, "acme"), Limits(parallel=2))
    assert wish(adapter="finance") == ((ScopeKind.ADAPTER, "finance"), UNLIMITED)
    place = (ScopeKind.KEY_ON_ADAPTER, "ab12cd34/finance")
    assert wish(key="ab12cd34", adapter="finance") == (place, UNLIMITED)


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"key": "ab12cd34"},
        {"tenant": "a", "adapter": "b"},
        {"tenant": "a", "adapter": "b", "key": "c"},
        {"tenant": ""},
        {"adapter": "a/b"},
        {"adapter": "a\x00b"},
        {"key": "\ud800", "adapter": "b"},
        {"tenant": "x" * 121},
    ],
)
def test_what_names_no_one_thing_is_refused(names: dict[str, Any]) -> None:
    """In a line that can be printed."""
    with pytest.raises(InvalidRequest) as caught:
        wish(**names)
    assert caught.value.message.isprintable()


def test_a_limit_of_a_key_names_its_id() -> None:
    """Bug: a limit that named the key as people do was taken, and limited nothing."""
    for name in ("reports", "Reports-CI", "ab12cd3", "AB12CD34"):
        with pytest.raises(InvalidRequest, match="no key id"):
            wish({"parallel": 1}, key=name, adapter="finance")
        assert wish(key=name, adapter="finance")[1] == UNLIMITED
    assert wish({"parallel": 1}, key="ab12cd34", adapter="finance")[1] == Limits(parallel=1)


def test_a_limit_of_the_operators_own_key_names_it_as_usage_does() -> None:
    """It has no id."""
    assert KEY_OWNER.id == OPERATORS_KEY
    assert wish({"parallel": 1}, key=KEY_OWNER.id, adapter="finance")[1] == Limits(parallel=1)


def test_limits_that_are_none_are_refused() -> None:
    """With the name of the limit."""
    with pytest.raises(InvalidRequest, match="parallel is -1"):
        wish({"parallel": -1}, tenant="acme")
