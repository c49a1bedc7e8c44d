"""Characters that nobody sees."""

from __future__ import annotations

import pytest

from lorabay.data.cleaning.characters import without_unseen


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\x00b\x07c", "abc"),
        ("\ufeffzero\u200bwidth\u00ad", "zerowidth"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("lone \ud83d surrogate", "lone  surrogate"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("👩\u200d🔧 می\u200cخواهم", "👩\u200d🔧 می\u200cخواهم"),
    ],
)
def test_only_what_is_seen_is_left(text: str, seen: str) -> None:
    """Joiners are seen in what they join."""
    assert without_unseen(text) == seen
    assert without_unseen(seen) == seen
