"""What is remembered over a restart."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import (
    AdminSource,
    Change,
    FolderSource,
    Record,
    Records,
    Rollback,
    recorded_digests,
)
from lorabay.catalog.versions import Digest
from lorabay.errors import SetupError
from tests.failing_disk import ERRORS, FailingDisk

A, B = Digest("a" * 64), Digest("b" * 64)
FINANCE = AdapterName("finance")
KNOWN = {*Record.model_fields, "source_key"}


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


DAMAGED = ["", "{", "[]", '"text"', "\0" * 100, "[" * 100_000]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_record_counts_as_absent(tmp_path: Path, content: str) -> None:
    """A file cut by a power failure costs one adapter's memory, not the start of the server."""
    records = Records(tmp_path)
    records.update(AdapterName("other"), {"pinned": True})
    (tmp_path / "finance.json").write_text(content)
    assert records.load() == {"other": Record(pinned=True)}


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_record_is_kept_beside_the_new_one(tmp_path: Path, content: str) -> None:
    """Nothing that could still be read from it is lost; the new one is all that the server
    remembers, and not only what it changes.
    """
    path = tmp_path / "finance.json"
    path.write_text(content + A)
    memory = Record(kept=(B,), pinned=True)
    Records(tmp_path).update(FINANCE, {"kept": (B,)}, memory)
    assert Records(tmp_path).load() == {FINANCE: memory}
    (aside,) = [other for other in tmp_path.iterdir() if "damaged" in other.name]
    assert aside.read_text() == content + A
    assert recorded_digests(tmp_path) >= {B}


@pytest.mark.parametrize("content", ['{"kept": ["short"]}', '{"unknown": 1}', "{}"])
def test_a_record_without_anything_known_counts_as_absent(tmp_path: Path, content: str) -> None:
    """It may be a newer server's, and is left as it is."""
    (tmp_path / "finance.json").write_text(content)
    assert Records(tmp_path).load() == {}
    assert (tmp_path / "finance.json").read_text() == content


NEWER = {
    "kept": [A],
    "pinned": True,
    "rollback": {"to": A, "instead_of": B, "until": "tomorrow"},
    "source": {"kind": "bucket", "url": "s3://adapters", "digest": B},
    "canary": {"version": B, "share": 0.1},
}


def test_what_a_newer_server_wrote_stays(tmp_path: Path) -> None:
    """Fields that are not known here, or whose values are not, are on disk after any change of
    others.
    """
    path = tmp_path / "finance.json"
    path.write_text(json.dumps(NEWER))
    records = Records(tmp_path)
    rollback = Rollback(to=A, instead_of=B)
    assert records.load() == {FINANCE: Record(kept=(A,), pinned=True, rollback=rollback)}

    records.update(FINANCE, {"pinned": False, "kept": (B, A)})
    assert json.loads(path.read_bytes()) == NEWER | {"pinned": False, "kept": [B, A]}
    assert recorded_digests(tmp_path) == {A, B}


@given(
    st.dictionaries(
        st.text(min_size=1),
        st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists),
        max_size=5,
    )
)
def test_whatever_a_newer_server_added_outlasts_an_older_one(extra: dict[str, object]) -> None:
    """No field that is unknown here is touched by a change, nor removed with the known ones."""
    extra = {name: value for name, value in extra.items() if name not in KNOWN}
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "finance.json"
        path.write_text(json.dumps(extra))
        records = Records(Path(name))
        records.update(FINANCE, {"pinned": True})
        assert json.loads(path.read_bytes()) == extra | {"pinned": True}
        records.update(FINANCE, {"pinned": False})
        if extra:
            assert json.loads(path.read_bytes()) == extra | {"pinned": False}
        else:
            assert not path.exists()


@pytest.mark.parametrize("error", ERRORS)
def test_a_record_that_the_disk_does_not_give_is_not_absent(tmp_path: Path, error: int) -> None:
    """A start that took it for absent would overwrite it, and a sweep would remove its versions."""
    records = Records(tmp_path / "records")
    record = Record(kept=(A,), pinned=True)
    records.update(FINANCE, dict(record))
    with FailingDisk(tmp_path / "records").attached() as disk:
        disk.fail(error)
        with pytest.raises(SetupError, match=os.strerror(error)):
            records.load()
        with pytest.raises(OSError, match=os.strerror(error)):
            recorded_digests(tmp_path / "records")
        with pytest.raises(OSError, match=os.strerror(error)):
            records.update(FINANCE, {"kept": (B, A)})
        disk.heal()
        assert records.load() == {FINANCE: record}


@pytest.mark.parametrize("error", ERRORS)
def test_a_fault_at_any_operation_leaves_the_old_record_or_the_new_one(
    tmp_path: Path, error: int
) -> None:
    """Whole, with nothing beside it once a later change has been written."""
    old, new = Record(kept=(A,)), Record(kept=(B, A))
    with FailingDisk(tmp_path / "records").attached() as disk:
        records = Records(tmp_path / "records")
        number, is_done = 0, False
        while not is_done:
            records.update(FINANCE, {"kept": (A,)})
            disk.fail_once(error, number)
            with suppress(OSError):
                records.update(FINANCE, {"kept": (B, A)})
                is_done = disk.count <= number
            disk.heal()
            assert records.load() in ({FINANCE: old}, {FINANCE: new})
            number += 1
    assert number > 5
    names = {path.name for path in (tmp_path / "records").iterdir()}
    assert names == {"finance.json", "lock"}


def test_a_record_is_on_disk_when_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut finds the old one or the new one: bytes first, then the name, each waited for."""
    steps: list[str] = []

    def note(name: str, function: Callable[..., object]) -> Callable[..., object]:
        def noted(*arguments: object, **options: object) -> object:
            steps.append(name)
            return function(*arguments, **options)

        return noted

    monkeypatch.setattr(os, "fsync", note("fsync", os.fsync))
    monkeypatch.setattr(os, "replace", note("replace", os.replace))
    Records(tmp_path).update(FINANCE, {"pinned": True})
    assert steps == ["fsync", "replace", "fsync"]


def test_many_records_are_written_together(tmp_path: Path) -> None:
    """Each keeps its other fields, and one that is empty now leaves no file."""
    records, bank, shop = Records(tmp_path), AdapterName("bank"), AdapterName("shop")
    records.update(FINANCE, {"kept": (A,)})
    records.update(shop, {"pinned": True})
    records.update_all(
        {
            FINANCE: Change({"pinned": True}),
            bank: Change({"kept": (B,)}),
            shop: Change({"pinned": False}),
        }
    )
    assert records.load() == {
        FINANCE: Record(kept=(A,), pinned=True),
        bank: Record(kept=(B,)),
    }


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
    """Kept versions, the source's and a rollback's target; a damaged file could name any."""
    Records(tmp_path).update(FINANCE, {"kept": (A,), "source_digest": B})
    assert recorded_digests(tmp_path) == {A, B}
    assert recorded_digests(tmp_path, {FINANCE: {"kept": ()}}) == {B}
    (tmp_path / "shop.json").write_text("{")
    with pytest.raises(SetupError, match=r"shop\.json is damaged"):
        recorded_digests(tmp_path)
