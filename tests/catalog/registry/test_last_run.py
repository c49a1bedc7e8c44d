"""Versions of the last run that a new one cannot offer, or not yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.catalog.records import Records
from lorabay.catalog.registry.last_run import NOT_READ
from lorabay.catalog.registry.registry import Registry
from lorabay.catalog.versions import Withheld
from lorabay.errors import AdapterConflict, ModelNotFound
from tests.catalog.registries import BASES, A, B, C, D, finds, serve, status, taken_up

UNFIT = Withheld("its rank 16 is over the engine's max_lora_rank 8")


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


@pytest.fixture
def registry(records: Records) -> Registry:
    return Registry(BASES, records, keep=2)


@pytest.mark.parametrize("reason", [UNFIT, NOT_READ])
def test_a_version_that_cannot_be_offered_now_stays_remembered(
    registry: Registry, records: Records, reason: Withheld
) -> None:
    """A start with narrower settings, or over a disk that fails, costs nothing in the end: the
    record names the version, the store must keep it, and the next start offers it.
    """
    serve(registry, A)
    serve(registry, B)
    narrow = taken_up(records, finds(a=reason, b=B))
    assert serve(narrow, B, "other") == B
    assert status(narrow).kept == (B,)
    assert status(narrow).withheld == ((A.digest, reason),)
    with pytest.raises(ModelNotFound):
        narrow.acquire(f"finance@{'a' * 12}")
    with pytest.raises(AdapterConflict):
        narrow.rollback_target("finance")
    assert A.digest in narrow.in_use()
    assert records.load()["finance"].kept == (B.digest, A.digest)

    wide = taken_up(records, finds(a=A, b=B))
    assert serve(wide, B) == B
    assert status(wide).kept == (B, A)
    assert status(wide).withheld == ()


def test_only_a_version_that_is_certainly_gone_is_dropped(
    registry: Registry, records: Records
) -> None:
    """It can never be offered again; those that are withheld keep their places among the others."""
    for found in (A, B, C):
        serve(registry, found)
    later = taken_up(records, finds(a=UNFIT, b=None, c=C))
    serve(later, D)
    assert records.load()["finance"].kept == (D.digest, C.digest, A.digest)


def test_a_version_that_is_withheld_counts_among_those_that_are_kept(
    registry: Registry, records: Records
) -> None:
    """What was live longest ago falls out first, offered or not."""
    for found in (A, B):
        serve(registry, found)
    later = taken_up(records, finds(a=UNFIT, b=B))
    serve(later, C)
    assert dict(status(later).withheld) == {A.digest: UNFIT}
    serve(later, D)
    assert status(later).withheld == ()
    assert records.load()["finance"].kept == (D.digest, C.digest, B.digest)


def test_a_name_does_not_go_back_behind_a_version_that_was_not_read(
    registry: Registry, records: Records
) -> None:
    """The version that was live last may be good: an older one must not take its place because of
    a hiccup of the disk. When the disk gives it, all are offered.
    """
    for found in (A, B):
        serve(registry, found)
    later = taken_up(records, finds(a=A, b=NOT_READ))
    assert status(later).kept == ()
    assert set(later.last_run.unread()) == {("finance", A.digest), ("finance", B.digest)}

    later.last_run.take_up("finance", {A.digest: A})
    assert status(later).kept == ()
    later.last_run.take_up("finance", {B.digest: B})
    later.last_run.take_up("finance", {A.digest: A})
    assert status(later).kept == (B, A)
    assert later.last_run.unread() == ()


def test_what_the_folder_holds_is_served_whatever_could_not_be_read(
    registry: Registry, records: Records
) -> None:
    """A former version is offered beside it as soon as it is read."""
    for found in (A, B):
        serve(registry, found)
    later = taken_up(records, finds(a=NOT_READ, b=NOT_READ))
    serve(later, C)
    later.last_run.take_up("finance", {A.digest: A, B.digest: NOT_READ})
    assert status(later).kept == (C, A)
    later.last_run.take_up("finance", {B.digest: None})
    assert status(later).kept == (C, A)
    assert later.last_run.unread() == ()
    later.last_run.take_up("unknown", {A.digest: A})


def test_a_rollback_outlasts_a_run_that_cannot_offer_its_target(
    registry: Registry, records: Records
) -> None:
    """It is not in force meanwhile, and is again when the target is offered."""
    serve(registry, A)
    serve(registry, B)
    registry.roll_back(A)
    narrow = taken_up(records, finds(a=UNFIT, b=B))
    assert serve(narrow, B) == B
    assert status(narrow).rollback is None

    wide = taken_up(records, finds(a=A, b=B))
    assert serve(wide, B) == A
    assert status(wide).rollback is not None


def test_a_version_that_is_withheld_can_be_forgotten(registry: Registry, records: Records) -> None:
    """An admin who makes room need not be able to use it."""
    serve(registry, A)
    serve(registry, B)
    later = taken_up(records, finds(a=UNFIT, b=B))
    serve(later, B)
    later.forget(A.digest)
    assert status(later).withheld == ()
    assert A.digest not in later.in_use()
    assert records.load()["finance"].kept == (B.digest,)
