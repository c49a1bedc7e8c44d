"""The keys of an issuer, as a server keeps them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from lorabay.accounts.oidc.issuer_keys import COOLDOWN_S, IssuerKeys
from lorabay.errors import SetupError, StorageUnavailable

MAX_AGE_S = 100.0


class Source:
    """Publishes keys of some ids, unless it is gone; counts how often it was asked."""

    def __init__(self, *ids: str) -> None:
        self.ids = ids
        self.is_gone = False
        self.asked = 0
        self.now = 1000.0

    async def read(self) -> Mapping[str, Any]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.is_gone:
            raise SetupError("the issuer cannot be reached")
        return {key_id: f"key {key_id}" for key_id in self.ids}

    def keys(self) -> IssuerKeys:
        return IssuerKeys(self.read, max_age_s=MAX_AGE_S, clock=lambda: self.now)


def known(keys: IssuerKeys, key_id: str) -> object:
    return cast("object", keys.key(key_id))


async def test_before_the_issuer_has_answered_nobody_can_be_checked() -> None:
    """The same token may pass later."""
    source = Source("a")
    source.is_gone = True
    keys = source.keys()
    with pytest.raises(StorageUnavailable):
        known(keys, "a")
    await keys.learn("a")
    with pytest.raises(StorageUnavailable):
        known(keys, "a")


async def test_an_unknown_key_is_asked_for_once_in_a_while() -> None:
    """However many tokens name it at once: a key that the issuer has just taken up is found."""
    source = Source("a")
    keys = source.keys()
    await asyncio.gather(*(keys.learn("b") for _ in range(20)))
    assert source.asked == 1
    assert known(keys, "a") == "key a"
    assert known(keys, "b") is None

    source.ids = ("b",)
    await keys.learn("b")
    assert source.asked == 1
    source.now += COOLDOWN_S
    await keys.learn("b")
    assert known(keys, "b") == "key b"
    assert known(keys, "a") is None
    await keys.learn("b")
    assert source.asked == 2


async def test_keys_are_taken_from_memory_for_a_bounded_time() -> None:
    """While the issuer is gone, and no longer."""
    source = Source("a")
    keys = source.keys()
    await keys.refresh()
    source.is_gone = True
    source.now += MAX_AGE_S
    await keys.refresh()
    assert known(keys, "a") == "key a"
    source.now += 1
    with pytest.raises(StorageUnavailable) as caught:
        known(keys, "a")
    assert caught.value.retry_after
    source.is_gone = False
    await keys.refresh()
    assert known(keys, "a") == "key a"


async def test_a_token_without_an_id_has_the_only_key() -> None:
    """Of several nobody could say which."""
    source = Source("a")
    keys = source.keys()
    await keys.refresh()
    assert known(keys, "") == "key a"
    source.ids = ("a", "b")
    await keys.refresh()
    assert known(keys, "") is None
    source.now += COOLDOWN_S
    await keys.learn("")
    assert source.asked == 2


async def test_the_keys_are_as_old_as_the_issuers_last_answer() -> None:
    """Also while it is gone; before its first one they are older than anything."""
    source = Source("a")
    keys = source.keys()
    assert keys.age_s == float("inf")
    await keys.refresh()
    source.is_gone = True
    source.now += 7
    await keys.refresh()
    assert keys.age_s == 7


async def test_the_keys_are_followed() -> None:
    """From the start on, until that is cancelled."""
    source = Source("a")
    keys = source.keys()
    following = asyncio.create_task(keys.follow())
    while not source.asked:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    following.cancel()
    assert known(keys, "a") == "key a"
