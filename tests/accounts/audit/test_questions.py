"""Questions about the audit."""

from __future__ import annotations

from typing import Any

import pytest

from lorabay.accounts.audit.chain import Row, entry_of
from lorabay.accounts.audit.deeds import Deed
from lorabay.accounts.audit.questions import MOST, asked
from lorabay.errors import InvalidRequest

ROW = Row(1, entry_of(1, 1_795_867_200.0, Deed("admin", "key.create", "ab12")), b"")
"""Of noon, 28 November 2026."""


@pytest.mark.parametrize(
    ("words", "is_asked_for"),
    [
        ({}, True),
        ({"who": "admin"}, True),
        ({"who": "adm"}, False),
        ({"action": "key.create"}, True),
        ({"action": "key"}, True),
        ({"action": "key.rotate"}, False),
        ({"action": "create"}, False),
        ({"target": "ab12"}, True),
        ({"target": "' OR 1=1 --"}, False),
        ({"since": "2026-11-28", "until": "2026-11-28"}, True),
        ({"since": "2026-11-29"}, False),
        ({"until": "2026-11-27"}, False),
        ({"who": "admin", "target": "x"}, False),
    ],
)
def test_all_that_is_said_must_hold(words: dict[str, Any], is_asked_for: bool) -> None:
    """Days are included."""
    assert asked(**words).asks_for(ROW) is is_asked_for


def test_a_row_that_cannot_be_read_is_always_shown() -> None:
    """Nobody could know that it is not the one."""
    assert asked(who="nobody").asks_for(Row(1, b"\xff", b""))


@pytest.mark.parametrize(
    ("words", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": MOST + 1}, "limit"),
        ({"since": "yesterday"}, "since"),
        ({"until": "2026-13-01\x1b"}, "until"),
        ({"since": "2026-11-02", "until": "2026-11-01"}, "since"),
    ],
)
def test_a_word_that_says_nothing_is_refused(words: dict[str, Any], param: str) -> None:
    """With its name, in a line that can be printed."""
    with pytest.raises(InvalidRequest) as caught:
        asked(**words)
    assert caught.value.param == param
    assert caught.value.message.isprintable()
