"""What an admin does not want of a folder, and when it is forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.catalog.records import AdminSource, Record, Records
from lorabay.catalog.registry import unwanted_folders
from lorabay.catalog.registry.adapter_state import AdapterState
from lorabay.catalog.registry.registry import Registry
from tests.catalog.registries import BASES, A, B, restarted, serve, status


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


@pytest.fixture
def registry(records: Records) -> Registry:
    return Registry(BASES, records, keep=2)


def test_what_an_admin_does_not_want_is_known_by_its_content(
    registry: Registry, records: Records
) -> None:
    """The fingerprint tells it, and else the version; after a restart too."""
    serve(registry, A, "as it was")
    registry.remove("finance", withdrawn="as it was", withdrawn_digest=A.digest)
    for known in (registry, restarted(records, A)):
        assert known.unwanted.has("finance", "as it was")
        assert known.unwanted.has("finance", "on another mount", A.digest)
        assert not known.unwanted.has("finance", "on another mount")
        assert not known.unwanted.has("finance", "on another mount", B.digest)
        assert not known.unwanted.has("shop", "as it was", A.digest)

    registry.unwanted.note_fingerprint("finance", "on another mount")
    assert registry.unwanted.withdrawn() == {"finance": "on another mount"}
    assert status(registry).state is AdapterState.REMOVED
    serve(registry, B)
    assert not registry.unwanted.has("finance", "on another mount", A.digest)


def test_what_is_known_of_a_folder_goes_with_it() -> None:
    """A folder that comes in its place is another, whatever it holds; other fields stay."""
    named = AdminSource(
        path=Path("/srv/a"), passed_over="1", passed_over_digest=A.digest, checks="c"
    )
    record = Record(withdrawn="1", withdrawn_digest=A.digest, source=named, pinned=True)
    later = record.model_copy(update=unwanted_folders.without_folder(record))
    assert not unwanted_folders.is_unwanted(later, "1", A.digest)
    assert later.pinned
    assert unwanted_folders.without_folder(Record()) == {}


def test_a_folder_that_was_passed_over_is_known_by_its_new_fingerprint() -> None:
    """What another folder was loaded over is found again, and not taken for a change."""
    named = AdminSource(path=Path("/srv/a"), passed_over="1", checks="c")
    record = Record(source=named)
    later = record.model_copy(update=unwanted_folders.with_fingerprint(record, "2"))
    assert unwanted_folders.is_unwanted(later, "2")
    assert not unwanted_folders.is_unwanted(later, "1")
    assert unwanted_folders.with_fingerprint(Record(), "2") == {}
