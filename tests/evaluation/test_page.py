"""An evaluation as a page."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.evaluation.page import page, write_page
from tests.evaluation.made import made_evaluation


class Tags(HTMLParser):
    """Keeps the tags that are open, and fails on one that is closed out of turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "line", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone() -> None:
    """It is well formed, loads nothing from elsewhere and runs no script."""
    text = page(made_evaluation())
    tags = Tags()
    tags.feed(text.replace("/>", ">"))
    assert tags.open == []
    assert not re.search(r"<script|<link|src=|@import|url\(", text)


def test_answers_stand_side_by_side() -> None:
    """Reference, base and adapter, with what each rule says; markup in texts is text."""
    text = page(made_evaluation())
    article = text[text.index("<article>") :]
    assert "Is &lt;b&gt;it&lt;/b&gt; here?" in article
    assert "Maybe &amp; maybe not" in article
    assert [*re.findall(r"<h4>(\w+)</h4>", article)] == ["reference", "base", "finance"]
    assert "steps: 0 numbered steps" in article
    assert article.count("passes all checks") == 2


def test_a_page_that_cannot_be_written_is_an_expected_failure(tmp_path: Path) -> None:
    """One line that names the file."""
    with pytest.raises(SetupError, match="cannot write"):
        write_page(made_evaluation(), tmp_path / "none" / "page.html")
    write_page(made_evaluation(), tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
