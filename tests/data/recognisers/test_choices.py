"""A choice of many names."""

from __future__ import annotations

import re

from lorabay.data.recognisers.choices import any_of


def test_the_longest_name_is_taken() -> None:
    """Whatever the order in which they are given."""
    pattern = re.compile(any_of(["北京", "上海", "北京市", "北"]))
    assert pattern.findall("北京市和上海,北方") == ["北京市", "上海", "北"]


def test_signs_are_meant_as_they_stand() -> None:
    """A full stop is a full stop."""
    pattern = re.compile(any_of(["mr. bean", "m"]))
    assert pattern.findall("mr. bean, mrs bean") == ["mr. bean", "m"]
