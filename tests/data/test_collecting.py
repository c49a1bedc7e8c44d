"""The first pass: rows through the steps for a single row."""

from __future__ import annotations

from pathlib import Path

from lorabay.data.changes import Changes
from lorabay.data.collecting import Collector, FileFacts
from lorabay.data.duplicates.signature_files import SignatureFiles
from lorabay.data.example import Example
from lorabay.data.inputs import InputFile, InputWishes
from lorabay.data.origins import Origins
from lorabay.data.reasons import Code, Kept, Note, Outcome, Removed
from lorabay.data.splitting import SplitWishes
from lorabay.data.spool import Spool


def _shout(example: Example) -> Outcome:
    return Kept(example.with_texts(str.upper), (Note(Code.LINES_COLLAPSED),))


def _no_b(example: Example) -> Outcome:
    if example.output == "B":
        return Removed(Note(Code.TOO_LONG))
    return Kept(example, (Note(Code.WHITESPACE_TRIMMED),))


def test_steps_come_one_after_another(tmp_path: Path) -> None:
    """What is removed has no other note, and nothing of it is kept."""
    path = tmp_path / "a.csv"
    path.write_text("q,a\nx,a\ny,b\nz\n")
    read: list[int] = []
    with (
        Changes(tmp_path / "changes") as changes,
        Spool(tmp_path / "rows") as spool,
        SignatureFiles(tmp_path) as signatures,
    ):
        collector = Collector((_shout, _no_b), Origins(SplitWishes()), spool, signatures, changes)
        facts = collector.collect(InputFile(path, "a.csv"), InputWishes(), read.append)
        spool.flush()
        assert facts == FileFacts("a.csv", "csv", "pairs", rows=3, kept=1)
        assert spool.source(0) == "a.csv:2"
        assert spool.said(0) == "x\na"

    assert sum(read) == path.stat().st_size
    assert changes.counts == {
        Code.LINES_COLLAPSED: 1,
        Code.WHITESPACE_TRIMMED: 1,
        Code.TOO_LONG: 1,
        Code.BROKEN_LINE: 1,
    }
