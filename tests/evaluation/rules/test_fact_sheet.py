"""A sheet of facts, and what each fact is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.evaluation.rules.fact_sheet import FactSheet

SHEET = """# Facts
Some words before.

## Savings
1. Harbour Saver (港湾储蓄): about 2.1% a year.
- Tide Saver: 30 days' notice.

## Tern (Wi-Fi router)
2. It cools for 30 minutes.
"""


def test_facts_are_about_names() -> None:
    """The name before the colon, its Chinese form, and the one in the heading."""
    sheet = FactSheet.parse(SHEET)
    assert sheet.subjects == {"Harbour Saver", "港湾储蓄", "Tide Saver", "Tern"}
    assert sheet.named_in("港湾储蓄和 Tern") == {"港湾储蓄", "Tern"}

    about = [fact.text for fact in sheet.about(frozenset({"Tern"}))]
    assert about == ["Facts", "Savings", "Tern (Wi-Fi router)", "It cools for 30 minutes."]
    assert len(sheet.about(frozenset())) == len(sheet.facts) == 6


def test_a_sheet_that_is_not_there_is_named(tmp_path: Path) -> None:
    """And one without facts."""
    with pytest.raises(SetupError, match=r"cannot read the facts in .*facts\.md"):
        FactSheet.read(tmp_path / "facts.md")
    (tmp_path / "facts.md").write_text("only words\n")
    with pytest.raises(SetupError, match="holds no facts"):
        FactSheet.read(tmp_path / "facts.md")
