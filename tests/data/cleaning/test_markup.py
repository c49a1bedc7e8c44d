"""HTML as plain text."""

from __future__ import annotations

import pytest

from lorabay.data.cleaning.markup import without_markup


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<p>Hello <b>you</b></p>", "\nHello you\n"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("<ul><li>a</li><li class='x'>b</li></ul>", "\n\n- a\n\n- b\n\n"),
        ("<td>a</td><td>b</td>", "a | b"),
        ("fish &amp; chips&nbsp;&#39;now&#39;", "fish & chips 'now'"),
        ("<style>p {color: red}</style>text<!-- note -->", "text"),
        ('<a href="https://x.y/?a=1&b=2">here</a>', "here"),
    ],
)
def test_tags_and_entities_become_text(text: str, plain: str) -> None:
    """Blocks become lines, items dashes."""
    assert without_markup(text) == plain


@pytest.mark.parametrize(
    "text",
    [
        "ping <hostname> and <your-name>",
        "if a < b and c > d",
        "use `<div>` or\n```\n<p>&amp;</p>\n```",
        "AT&T and R&D; a&b",
        "5 <3",
    ],
)
def test_what_is_no_markup_stays(text: str) -> None:
    """Placeholders, comparisons, code."""
    assert without_markup(text) == text
