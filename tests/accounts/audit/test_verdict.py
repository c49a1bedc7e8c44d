"""What a check says, and the row that somebody noted."""

from __future__ import annotations

import pytest

from lorabay.accounts.audit.verdict import Anchor, Verdict, read_anchor
from lorabay.errors import UsageError

HEAD = Anchor(7, "ab" * 32)


def test_a_head_is_read_as_it_is_written() -> None:
    """Whatever stands around it."""
    assert read_anchor(f" {HEAD}\n") == HEAD


@pytest.mark.parametrize("text", ["", "7", "7:ab", f"0:{'a' * 64}", f"-1:{'a' * 64}", "x" * 10_000])
def test_what_is_no_row_is_refused(text: str) -> None:
    """In a short line."""
    with pytest.raises(UsageError, match="NUMBER:HASH") as caught:
        read_anchor(text)
    assert len(caught.value.message) < 250


def test_a_verdict_is_whole_unless_a_row_is_named() -> None:
    """Programs read the same."""
    assert Verdict(7, HEAD).as_dict() == {
        "ok": True,
        "rows": 7,
        "head": str(HEAD),
        "broken": None,
        "reason": None,
    }
    assert not Verdict(7, HEAD, 3, "the row is missing").is_whole
