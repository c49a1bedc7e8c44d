"""Domains and their traffic, as a user gives them."""

from __future__ import annotations

from typing import Any

import pytest

from lorabay.advising.traffic import traffic_of
from lorabay.errors import UsageError


def test_domains_have_names_and_rates() -> None:
    """As given."""
    assert traffic_of(["shop=120", "tech=0.5"], None, 0.0, ["finance"]) == {
        "shop": 120.0,
        "tech": 0.5,
    }


def test_traffic_is_shared_out_evenly() -> None:
    """Over the adapters, or so many domains, which are called as adapters as far as they go."""
    assert traffic_of([], None, 90.0, ["a", "b", "c"]) == {"a": 30.0, "b": 30.0, "c": 30.0}
    assert traffic_of([], 3, 90.0, ["a"]) == {"a": 30.0, "domain-2": 30.0, "domain-3": 30.0}
    assert traffic_of([], 1, 0.0, ["a", "b"]) == {"a": 0.0}
    assert traffic_of([], None, 0.0, []) == {}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((["shop"], None, 0.0, []), "'shop' is not NAME=TOKENS_S"),
        ((["shop=fast"], None, 0.0, []), "is not NAME=TOKENS_S"),
        ((["=5"], None, 0.0, []), "is not NAME=TOKENS_S"),
        ((["shop=-5"], None, 0.0, []), "is not NAME=TOKENS_S"),
        ((["shop=inf"], None, 0.0, []), "is not NAME=TOKENS_S"),
        ((["a=1", "a=2"], None, 0.0, []), "given twice"),
        ((["a=1"], 3, 0.0, []), "leave --domains"),
    ],
)
def test_what_cannot_be_read_is_said(arguments: Any, problem: str) -> None:
    """With the option."""
    with pytest.raises(UsageError, match=problem):
        traffic_of(*arguments)
