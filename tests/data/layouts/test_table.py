"""Which layout records are in."""

from __future__ import annotations

import pytest

from lorabay.data.layouts.table import LAYOUTS, layout_of

FIELDS = {
    "messages": {"messages": [{"role": "user", "content": "x"}]},
    "sharegpt": {"conversations": [{"from": "human", "value": "x"}]},
    "alpaca": {"instruction": "i", "input": "x", "output": "o"},
    "pairs": {"input": "i", "output": "o"},
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_told_by_its_fields(name: str) -> None:
    """By most of the records: a few of another kind do not count."""
    others = [fields for other, fields in FIELDS.items() if other != name]
    assert layout_of([FIELDS[name]] * 5 + others) == name


def test_no_layout_is_none() -> None:
    """Nothing is guessed."""
    assert layout_of([{"a": 1}]) is None
    assert layout_of([]) is None
