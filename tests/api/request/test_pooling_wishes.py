"""The table of what clients wish of a base that pools; `test_foreign_fields` asks it over HTTP."""

from __future__ import annotations

from collections import Counter

from lorabay.api.request.pooling_wishes import POOLING_CALLS, POOLING_WISHES
from lorabay.serving.engine import CALLS


def test_every_call_that_pools_has_its_wishes() -> None:
    """Those that the API mounts, and no others."""
    assert set(POOLING_CALLS) == {call for call in CALLS if call.pools}
    assert all(wish.here.keys() <= set(POOLING_CALLS) for wish in POOLING_WISHES)


def test_a_field_holds_one_wish() -> None:
    """Otherwise the later one would hide the first."""
    names = Counter(name for wish in POOLING_WISHES for name in wish.names)
    assert max(names.values()) == 1
