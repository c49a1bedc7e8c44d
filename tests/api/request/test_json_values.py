"""Values are read as what they should be, and else as nothing."""

from __future__ import annotations

import pytest

from lorabay.api.request.json_values import as_list, as_number, as_object, chars_of


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (2, 2),
        (2.0, 2),
        ("2", 2),
        ("2.0", 2),
        (-1, -1),
        (True, None),
        (None, None),
        ("two", None),
        ("1e999", None),
        ("9" * 100, None),
        ([2], None),
    ],
)
def test_a_number_is_what_the_engine_may_read_as_one(value: object, number: int | None) -> None:
    """vLLM takes text and fractions too; a flag is no number."""
    assert as_number(value) == number


@pytest.mark.parametrize("value", [None, 7, "text", [1], {"a": 1}])
def test_anything_else_counts_as_nothing(value: object) -> None:
    """The engine refuses it."""
    assert as_list(value) == (value if isinstance(value, list) else [])
    assert as_object(value) == (value if isinstance(value, dict) else {})
    assert chars_of(value) == (4 if value == "text" else 0)
