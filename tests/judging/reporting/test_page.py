"""The report as a page: what it says, and that it loads nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lorabay.judging.reporting.page import page
from lorabay.judging.reporting.report import report_of
from tests.judging.answered import NAMES, blind_folder, judge_all


class Tags(HTMLParser):
    """Collects the tags of a page, and fails on one that is closed in the wrong place."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("names", [NAMES[:2], NAMES])
def test_the_page_is_whole_and_loads_nothing(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Names are text, whatever they are made of; more than two sets have two drawings."""
    folder = blind_folder(tmp_path / "blind", 8, names=names)
    judge_all(folder, {"anna": lambda *both: max(both), "ben": lambda *both: max(both)})
    html = page(report_of(folder))

    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    assert tags.seen.count("svg") == (2 if len(names) > 2 else 1)
    assert "Krippendorff" in html
    assert all(name in html for name in names)
    assert not re.search(r"(src|href)=", html)
