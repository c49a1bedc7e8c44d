"""The list of removed and changed rows."""

from __future__ import annotations

import json
from pathlib import Path

from lorabay.data.changes import Changes
from lorabay.data.reasons import Code, Note


def test_every_reason_of_a_row_is_a_line(tmp_path: Path) -> None:
    """And is counted; a detail stands there only if there is one."""
    with Changes(tmp_path / "changes.jsonl") as changes:
        changes.add("a:1", (Note(Code.MARKUP_REMOVED), Note(Code.WHITESPACE_TRIMMED)))
        changes.add("文:2", (Note(Code.TOO_LONG, "characters: 9"),))
        changes.add("a:3", ())

    lines = (tmp_path / "changes.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"source": "a:1", "what": "changed", "step": "markup", "reason": "markup_removed"},
        {"source": "a:1", "what": "changed", "step": "whitespace", "reason": "whitespace_trimmed"},
        {
            "source": "文:2",
            "what": "removed",
            "step": "length",
            "reason": "too_long",
            "detail": "characters: 9",
        },
    ]
    assert changes.counts[Code.TOO_LONG] == 1


def test_any_place_can_be_written(tmp_path: Path) -> None:
    """Also one that is no text."""
    with Changes(tmp_path / "changes.jsonl") as changes:
        changes.add("a\udcff:1", (Note(Code.TOO_LONG),))
    assert json.loads((tmp_path / "changes.jsonl").read_bytes())["source"] == "a\udcff:1"
