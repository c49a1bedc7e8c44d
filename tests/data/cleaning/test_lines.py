"""Lines of a text."""

from __future__ import annotations

from lorabay.data.cleaning.lines import collapsed, trimmed


def test_spaces_at_the_ends_go() -> None:
    """Those at the beginning of a line, and one empty line, stay."""
    assert trimmed("  a  \n\n\n\n  - b\u3000\n") == "a\n\n  - b"
    assert trimmed(" \n\t") == ""


def test_a_line_that_repeats_is_one() -> None:
    """Numbers, signs and short lines are left: they may be a table or a list."""
    assert collapsed("Restart it.\nRestart it.\nRestart it.\nDone.") == "Restart it.\nDone."
    assert collapsed("1.50\n1.50\n---\n---\nok\nok") == "1.50\n1.50\n---\n---\nok\nok"
    assert collapsed("aaaa bb\nx\naaaa bb") == "aaaa bb\nx\naaaa bb"
