"""Limits: which values they take, and what they are called."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from lorabay.accounts.limits import LIMIT_NAMES, MOST, UNLIMITED, Limits


@given(st.dictionaries(st.sampled_from(LIMIT_NAMES), st.none() | st.integers(0, MOST)))
def test_limits_are_whole_numbers_or_none(values: dict[str, int | None]) -> None:
    """They are told as they were given, and true if there is any."""
    limits = Limits(**values)
    assert limits.as_dict() == dict.fromkeys(LIMIT_NAMES) | values
    assert bool(limits) is any(value is not None for value in values.values())
    assert UNLIMITED.changed(**values) == limits


@pytest.mark.parametrize("value", [-1, MOST + 1, 1.5, "6", True, float("nan")])
@pytest.mark.parametrize("name", LIMIT_NAMES)
def test_what_is_no_limit_is_refused(name: str, value: Any) -> None:
    """By the limit's name."""
    with pytest.raises(ValueError, match=f"{name} is "):
        Limits(**{name: value})
