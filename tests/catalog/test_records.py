"""What is remembered over a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import Record, Records, Rollback
from lorabay.catalog.versions import Digest

if TYPE_CHECKING:
    from pathlib import Path

A, B = Digest("a" * 64), Digest("b" * 64)
FINANCE = AdapterName("finance")


def test_records_survive_a_restart(tmp_path: Path) -> None:
    """Everything in a record is there again for the next process; an empty record leaves no
    file.
    """
    record = Record(
        kept=(A, B),
        source_key="key",
        source_digest=B,
        rollback=Rollback(to=A, instead_of=B),
        pinned=True,
    )
    Records(tmp_path / "records").update(FINANCE, dict(record))
    assert Records(tmp_path / "records").load() == {FINANCE: record}
    Records(tmp_path / "records").update(FINANCE, dict(Record()))
    assert not list((tmp_path / "records").glob("finance*"))


def test_two_servers_do_not_undo_each_others_changes(tmp_path: Path) -> None:
    """Each writes the fields that it changed; a pin that one of them sets outlives a swap that the
    other notes.
    """
    one, other = Records(tmp_path), Records(tmp_path)
    one.update(FINANCE, {"pinned": True})
    other.update(FINANCE, {"kept": (A,)})
    assert one.load() == other.load() == {FINANCE: Record(kept=(A,), pinned=True)}


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"kept": ["short"]}', '{"kept": [], "unknown": 1}', "\0" * 100]
)
def test_a_damaged_record_counts_as_absent(tmp_path: Path, content: str) -> None:
    """A file cut by a power failure costs one adapter's memory, not the start of the server."""
    records = Records(tmp_path)
    records.update(AdapterName("other"), {"pinned": True})
    (tmp_path / "finance.json").write_text(content)
    assert records.load() == {"other": Record(pinned=True)}


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    """A half-written file of a killed process, or one whose name is no adapter's, is not a
    record.
    """
    (tmp_path / "finance.new").write_text(Record(pinned=True).model_dump_json())
    (tmp_path / "a b.json").write_text(Record(pinned=True).model_dump_json())
    assert Records(tmp_path).load() == {}
