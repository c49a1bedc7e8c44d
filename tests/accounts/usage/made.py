"""Records of usage, as tests want them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from lorabay.accounts.usage.records import Ending, UsageRecord, new_id

NOVEMBER_28_MS = 1_795_824_000_000
"""The beginning of 28 November 2026, in UTC."""

DAY_MS = 86_400_000


def a_record(**others: Any) -> UsageRecord:
    """Return a record with an id of its own; `others` replace its fields."""
    record = UsageRecord(
        id=new_id(),
        key="k-1",
        tenant="acme",
        adapter="finance",
        version="3f9c1a2b4d5e",
        call="chat",
        prompt_tokens=10,
        cached_tokens=4,
        generated_tokens=5,
        prompts=1,
        sequences=1,
        started_ms=NOVEMBER_28_MS,
        queue_ms=1,
        first_token_ms=20,
        total_ms=90,
        code=200,
        ended=Ending.DONE.value,
    )
    return replace(record, **others)


def records() -> st.SearchStrategy[UsageRecord]:
    """Return a strategy for records, with every kind of name."""
    names = st.text(max_size=20)
    counts = st.integers(0, 2**40)
    return st.builds(
        a_record,
        key=names,
        tenant=names,
        adapter=names,
        prompt_tokens=counts,
        cached_tokens=counts,
        generated_tokens=counts,
        queue_ms=st.none() | counts,
        ended=st.sampled_from([ending.value for ending in Ending]),
    )
