"""Days that a question names, as text."""

from __future__ import annotations

from datetime import date

import pytest

from lorabay.accounts.days import SHOWN, day_of
from lorabay.errors import InvalidRequest


def test_a_day_is_read() -> None:
    """No text is no day."""
    assert day_of("2026-11-01", "since") == date(2026, 11, 1)
    assert day_of(None, "since") is None


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "\x1b[2J", "9" * 10_000])
def test_anything_else_is_refused_by_its_name(text: str) -> None:
    """The error names the parameter, and repeats little of what was sent, without its controls."""
    with pytest.raises(InvalidRequest, match="`since` must be a day") as refused:
        day_of(text, "since")
    assert refused.value.param == "since"
    assert len(str(refused.value)) < SHOWN * 4
    assert str(refused.value).isprintable()
