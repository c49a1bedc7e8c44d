"""Callers."""

from __future__ import annotations

from lorabay.accounts.callers import DEFAULT_TENANT, Caller
from lorabay.accounts.limits import UNLIMITED
from tests.versions import make_version


def test_a_caller_without_a_key_of_its_own_may_use_everything() -> None:
    """As before there were accounts: all adapters, the base, all endpoints, without a limit."""
    caller = Caller("key")
    assert caller.tenant == DEFAULT_TENANT
    assert caller.permissions.allows(make_version("finance"))
    assert caller.permissions.allows_base()
    assert caller.permissions.allows_endpoint("chat")
    assert caller.limits == UNLIMITED
