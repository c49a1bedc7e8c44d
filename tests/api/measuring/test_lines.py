"""How a line begins, and the form of its number."""

from __future__ import annotations

import math

import pytest
from prometheus_client.utils import floatToGoString

from lorabay.api.measuring.lines import head, number


def test_a_line_begins_with_name_and_labels() -> None:
    """In the order in which the labels are given; without any there are no braces."""
    assert head("up", {}) == "up "
    assert head("up", {"b": "1", "a": "2"}) == 'up{b="1",a="2"} '


def test_what_would_end_a_label_is_escaped() -> None:
    """A name of a folder, say, may hold anything."""
    assert head("up", {"a": 'x"\\\n'}) == 'up{a="x\\"\\\\\\n"} '


@pytest.mark.parametrize("value", [0, 1, 1.0, 0.5, 1234567.0, 1e21, math.inf, -math.inf, math.nan])
def test_numbers_are_those_of_prometheus_client(value: float) -> None:
    """Whether they were asked for before or not."""
    assert number(value) == number(value) == floatToGoString(value)
