"""Lines of a text."""

from __future__ import annotations

from lorabay.data.cleaning.lines import collapsed, trimmed


def test_spaces_at_the_ends_go() -> None:
    """Those at the beginning of a line, and one empty line, stay."""
    assert trimmed("  a  \n\n\n\n  - b\u3000\n") == "a\n\n  - b"
    assert trimmed(" \n\t") == ""


def test_a_line_that_repeats_is_one() -> None:
    """Two are left, and numbers, signs and short lines: they may be meant."""
    assert collapsed("Restart it.\nRestart it.\nRestart it.\nDone.") == "Restart it.\nDone."
    assert collapsed("1.50\n" * 3 + "---\n" * 3 + "ok") == "1.50\n" * 3 + "---\n" * 3 + "ok"
    assert collapsed("+24.90 Baywater\n+24.90 Baywater") == "+24.90 Baywater\n+24.90 Baywater"
