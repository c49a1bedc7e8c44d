"""The report as a page."""

from __future__ import annotations

import re

from lorabay.data.reporting.page import page
from tests.data.reporting.test_facts import REPORT


def test_the_page_loads_nothing_and_says_everything() -> None:
    """Every figure of the tables, every reason, names of files as text."""
    text = page(REPORT.as_dict())
    assert not re.search(r"(?:src|href)=|url\(|@import|<script", text)
    for said in ("1,200", "near_duplicate", "whitespace_trimmed", "&lt;shop&gt;.csv", "0.91"):
        assert said in text
    assert "<shop>" not in text
    assert text.count("<svg") == 6
