"""A folder is recognised as the one that was dealt with, or counts as another."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.catalog.discovery import Candidate
from lorabay.catalog.fingerprints import ABSENT
from lorabay.catalog.records import AdminSource, FolderSource
from lorabay.catalog.registry.registry import Registry
from lorabay.reconcile.known_folders import KnownFolders
from tests.catalog.registries import A, version
from tests.serving.bay import Bay

SKETCHED = FolderSource(fingerprint="1", checks="checks", sketch="sizes and samples")


@pytest.fixture
def known(registry: Registry, bay: Bay) -> KnownFolders:
    return KnownFolders(registry, bay.reconciler.ingest)


def serve(registry: Registry, source: FolderSource | AdminSource) -> None:
    registry.set_live(registry.offer(A, source))


def test_what_an_admin_unloaded_is_dealt_with_from_the_start(registry: Registry, bay: Bay) -> None:
    """A restart does not take the same folder in again."""
    serve(registry, SKETCHED)
    registry.remove("finance", withdrawn="1")
    assert KnownFolders(registry, bay.reconciler.ingest).handled == {"finance": "1"}


def test_a_folder_is_dealt_with_again_unless_it_changed(known: KnownFolders) -> None:
    """A change that was noted meanwhile has its own turn."""
    candidate = Candidate("finance", Path("/adapters/finance"), "1")
    known.note_handled("finance", "2")
    known.note_unhandled(candidate)
    assert known.handled == {"finance": "2"}
    known.note_handled("finance", "1")
    known.note_unhandled(candidate)
    assert known.handled == {}


def test_a_change_that_was_seen_is_one_whatever_the_sketches_say(
    known: KnownFolders, registry: Registry
) -> None:
    """Until the volume changes: then only the sketch can tell."""
    serve(registry, SKETCHED)
    copy = SKETCHED.model_copy(update={"fingerprint": "2"})
    assert known.comparable("finance", copy) == copy
    known.note_recognised("finance")
    assert known.comparable("finance", copy).sketch is None
    known.volume_changed()
    assert known.comparable("finance", copy) == copy


def test_the_version_in_a_folder_is_known_by_its_fingerprint(
    known: KnownFolders, registry: Registry
) -> None:
    """Whether it is served, or an admin's was loaded over it."""
    assert known.version_in("finance", "1") is None
    serve(registry, SKETCHED)
    assert known.version_in("finance", "1") == A.digest
    assert known.version_in("finance", "2") is None
    assert known.version_in("finance", None) is None

    over = AdminSource(
        path=Path("/srv/a"), passed_over="1", passed_over_digest=version("b").digest, checks="c"
    )
    serve(registry, over)
    assert known.version_in("finance", "1") == version("b").digest
    assert known.served_from("finance") is None


def test_a_folder_out_of_sight_is_what_it_was(known: KnownFolders, registry: Registry) -> None:
    """The fingerprint that is served counts first, then the one that was dealt with."""
    assert known.last_seen("finance") == ABSENT
    known.note_handled("finance", "2")
    assert known.last_seen("finance") == "2"
    serve(registry, SKETCHED)
    assert known.last_seen("finance") == "1"
    known.forget("finance")
    assert known.handled == {}
