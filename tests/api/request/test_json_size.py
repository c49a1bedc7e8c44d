"""Sizes of JSON, before and after it is parsed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from lorabay.api.request.json_size import CONTAINER_WEIGHT, MEDIA, count_values, size_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def weight(value: Any) -> int:
    """Return the separators in a value, each container counted as several, and one."""
    if not isinstance(value, dict | list):
        return 1
    inner = list(value.values()) if isinstance(value, dict) else value
    names = len(value) if isinstance(value, dict) else 0
    separators = names + max(len(inner) - 1, 0)
    return 1 + CONTAINER_WEIGHT + separators + sum(weight(item) - 1 for item in inner)


@given(JSON, st.integers(0, 200), st.booleans())
def test_values_are_counted_exactly_enough_to_compare_them(
    value: object, limit: int, ascii_only: bool
) -> None:
    """Bytes pass a limit exactly if the value does, whatever its texts hold."""
    content = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert (count_values(content, limit) <= limit) == (weight(value) <= limit)


@given(st.binary(max_size=300), st.integers(0, 50))
def test_any_bytes_can_be_counted(content: bytes, limit: int) -> None:
    """Broken JSON has a count too: it is looked at before it is parsed."""
    assert count_values(content, limit) >= 0


@pytest.mark.parametrize(
    "content", [b'"', b'"\\', b'\\"' * 1000, b'"\\"' * 1000, b'["a' + b"\\" * 999, b'"\n\\\n"']
)
def test_strings_without_an_end_are_counted(content: bytes) -> None:
    """A missing quote is a string to the end of the bytes, looked at once."""
    assert count_values(content * 3 + b",[{", 0) >= 0


@given(JSON)
def test_a_size_is_that_of_the_whole_value(value: object) -> None:
    """Depth, values and characters are those that recursion would find."""
    size = size_of(value)
    assert (size.depth, size.values, size.chars) == sizes(value)


def sizes(value: Any) -> tuple[int, int, int]:
    """Return depth, values and characters, by recursion."""
    if isinstance(value, str):
        return 0, 1, len(value)
    if not isinstance(value, dict | list):
        return 0, 1, 0

    names = sum(map(len, value)) if isinstance(value, dict) else 0
    inner = [sizes(item) for item in (value.values() if isinstance(value, dict) else value)]
    depth = 1 + max((size[0] for size in inner), default=0)
    return depth, 1 + sum(size[1] for size in inner), names + sum(size[2] for size in inner)


def test_a_deep_value_needs_no_stack() -> None:
    """A value that is nested deeper than Python recurses has a size."""
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    assert size_of(value).depth == 100_001
    while value:
        value = value.pop()


@pytest.mark.parametrize("name", MEDIA)
def test_pictures_and_sound_are_told_from_text(name: str) -> None:
    """Characters under the names of media are counted apart, also in the total."""
    size = size_of([{"type": "x", name: "a" * 1000}, {"text": "b" * 10}])
    assert size.media_chars == 1000
    assert size.chars == 1011 + len("type") + len(name) + len("text")


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan"), 2**64, -(2**63) - 1])
def test_numbers_that_no_engine_takes_are_found(number: float) -> None:
    """Wherever it lies."""
    assert size_of(number).has_odd_number
    assert size_of({"a": [1, {"b": number}, 2]}).has_odd_number


@pytest.mark.parametrize("number", [0, 1.5, 2**64 - 1, -(2**63), True])
def test_other_numbers_are_not_odd(number: float) -> None:
    """64 bits, with a sign or without one, are enough for all."""
    assert not size_of([number]).has_odd_number
