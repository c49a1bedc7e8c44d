"""Salts of the prefix cache, by tenant."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from lorabay.accounts.callers import DEFAULT_TENANT
from lorabay.api.request.cache_salts import CacheSalts
from lorabay.errors import InvalidRequest

SALTS = CacheSalts(b"secret of a test")
names = st.text(min_size=1, max_size=5).filter(lambda name: name != DEFAULT_TENANT)


def salt(tenant: str, own: str | None = None, salts: CacheSalts = SALTS) -> Any:
    body = {"model": "finance"} | ({} if own is None else {"cache_salt": own})
    return salts.salted(body, tenant).get("cache_salt")


@given(names, names, st.none() | names, st.none() | names)
def test_tenants_share_no_salt(one: str, other: str, own: str | None, others: str | None) -> None:
    """Whatever their clients send; two requests of a tenant share theirs."""
    assert (salt(one, own) == salt(other, others)) == ((one, own) == (other, others))


@given(names, names)
def test_a_salt_is_what_vllm_takes(tenant: str, own: str) -> None:
    """At most 128 characters, without those that it refuses."""
    assert len(salt(tenant, own)) <= 128
    assert salt(tenant, own).isalnum()


def test_no_client_can_send_the_salt_of_another_tenant() -> None:
    """Also one that knows it: what a client sends is never the salt."""
    assert salt("shop", salt("finance")) != salt("finance")


def test_servers_have_secrets_of_their_own() -> None:
    """Nobody can work a salt out from a tenant's name."""
    assert salt("finance", salts=CacheSalts()) != salt("finance", salts=CacheSalts())


def test_callers_without_a_tenant_are_left_alone() -> None:
    """Their own salts are what they send, as without accounts; the body is not copied."""
    body = {"model": "finance", "cache_salt": "mine"}
    assert SALTS.salted(body, DEFAULT_TENANT) is body
    assert salt(DEFAULT_TENANT) is None


def test_a_body_is_not_changed() -> None:
    """The salt goes into a copy: what is logged or tried again is what the client sent."""
    body = {"model": "finance"}
    SALTS.salted(body, "finance")
    assert body == {"model": "finance"}


@pytest.mark.parametrize("own", ["", 1, ["a"], {"a": 1}, True])
def test_a_salt_that_is_no_text_is_refused(own: Any) -> None:
    """As vLLM refuses it."""
    with pytest.raises(InvalidRequest, match="cache_salt"):
        SALTS.salted({"cache_salt": own}, "finance")
