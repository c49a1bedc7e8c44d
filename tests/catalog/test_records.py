"""What is remembered over a restart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import (
    AdminSource,
    FolderSource,
    Record,
    Records,
    Rollback,
    recorded_digests,
)
from lorabay.catalog.versions import Digest

A, B = Digest("a" * 64), Digest("b" * 64)
FINANCE = AdapterName("finance")


def test_records_survive_a_restart(tmp_path: Path) -> None:
    """Everything in a record is there again for the next process; an empty record leaves no
    file.
    """
    record = Record(
        kept=(A, B),
        source=FolderSource(fingerprint="1:2:3", checks="abc"),
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


@pytest.mark.parametrize("path", ["/models/finance", "/models/\udc80", "/models/\N{SNOWMAN}"])
def test_an_admins_source_survives_a_restart(tmp_path: Path, path: str) -> None:
    """The folder may have any name, also one with bytes that are not UTF-8."""
    record = Record(source=AdminSource(path=Path(path), passed_over="1:2:3", checks="abc"))
    Records(tmp_path).update(FINANCE, dict(record))
    assert Records(tmp_path).load() == {FINANCE: record}


@given(fingerprint=st.text(), checks=st.from_regex(r"[0-9a-f]{64}", fullmatch=True))
def test_a_folders_source_is_read_from_the_former_layout(fingerprint: str, checks: str) -> None:
    """Records that an older server wrote are read by a newer one."""
    record = Record.model_validate({"source_key": f"{fingerprint} {checks}", "pinned": True})
    source = FolderSource(fingerprint=fingerprint, checks=checks)
    # The older server marked an admin's source by a word in front.
    if not fingerprint.startswith("admin "):
        assert record == Record(source=source, pinned=True)


@given(path=st.text(), passed_over=st.none() | st.text(), checks=st.text())
def test_an_admins_source_is_read_from_the_former_layout(
    path: str, passed_over: str | None, checks: str
) -> None:
    """The folder, what it passed over and the checks are those that the older server wrote."""
    key = "admin " + json.dumps([path, passed_over, checks])
    source = AdminSource(path=Path(path), passed_over=passed_over, checks=checks)
    assert Record.model_validate({"source_key": key}).source == source


@pytest.mark.parametrize("key", [None, "", "admin ", "admin 7", "admin []", "admin [1, 2, 3]"])
def test_a_former_source_that_is_missing_or_damaged_is_none(key: str | None) -> None:
    """The rest of the record is kept."""
    assert Record.model_validate({"source_key": key, "pinned": True}) == Record(pinned=True)


def test_records_name_the_versions_that_a_restart_needs(tmp_path: Path) -> None:
    """Kept versions, the source's and a rollback's target; damaged files name none."""
    Records(tmp_path).update(FINANCE, {"kept": (A,), "source_digest": B})
    (tmp_path / "shop.json").write_text("{")
    assert recorded_digests(tmp_path) == {A, B}
