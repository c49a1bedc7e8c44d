"""Fields without limits of their own are small."""

from __future__ import annotations

from typing import Any

from lorabay.api.limits.field_limits import (
    FIELD_CHARS,
    FIELD_VALUES,
    NAME_CHARS,
    other_fields,
)
from lorabay.api.limits.measured_body import MeasuredBody
from lorabay.serving.engine import CHAT, SCORE, Call
from tests.api.conftest import LIMITS


def fields(call: Call = CHAT, **body: Any) -> list[str]:
    return [excess.field for excess in other_fields(MeasuredBody(call, body, LIMITS, None))]


def test_a_name_is_short() -> None:
    """The engine and its log repeat it."""
    assert fields(user="x" * NAME_CHARS) == []
    assert fields(user="x" * (NAME_CHARS + 1)) == ["user"]


def test_an_unknown_field_is_small_with_its_name() -> None:
    """In characters and in values."""
    assert fields(anything="x" * (FIELD_CHARS - len("anything"))) == []
    assert fields(anything="x" * FIELD_CHARS) == ["anything"]
    assert fields(anything=[1] * (FIELD_VALUES + 1)) == ["anything"]


def test_what_has_limits_of_its_own_may_be_large() -> None:
    """A counted field grows with its limit; inputs are large for calls that pool alone."""
    long = "x" * (FIELD_CHARS + 1)
    assert fields(messages=long, model=long) == []
    assert fields(stop=[long]) == []
    assert fields(SCORE, text_1=long) == []
    assert fields(CHAT, text_1=long) == ["text_1"]
