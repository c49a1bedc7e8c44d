"""The layout of Alpaca, which is also ours."""

from __future__ import annotations

import json

import pytest

from lorabay.data.example import Example
from lorabay.data.layouts.alpaca import Alpaca
from lorabay.data.reasons import Code, Kept, Removed

FULL = Example("i", "o", input="x", history=(("q", "a"),), system="s")


def test_what_we_write_is_read_as_it_was() -> None:
    """With every field, and with those that are needed."""
    for example in (FULL, Example("i", "o")):
        fields = json.loads(example.as_line())
        assert Alpaca().fits(fields)
        assert Alpaca().outcome(fields) == Kept(example)
    assert not Alpaca().fits({"instruction": "i"})


@pytest.mark.parametrize(
    "fields",
    [
        {"instruction": "i"},
        {"instruction": 5, "output": "o"},
        {"instruction": "i", "output": "o", "input": {}},
        {"instruction": "i", "output": "o", "history": "x"},
        {"instruction": "i", "output": "o", "history": [["q"]]},
        {"instruction": "i", "output": "o", "history": [["q", None]]},
    ],
)
def test_a_field_of_another_kind_is_a_reason(fields: dict[str, object]) -> None:
    """And no exception."""
    outcome = Alpaca().outcome(fields)
    assert isinstance(outcome, Removed)
    assert outcome.note.code == Code.MISSING_FIELD
