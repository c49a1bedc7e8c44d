"""Names that were taken away: what is remembered of them, and for how long."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.catalog.records import AdminSource, Records
from lorabay.catalog.registry.adapter_state import AdapterState
from lorabay.catalog.registry.registry import Registry
from lorabay.catalog.versions import Version
from lorabay.errors import AdapterConflict, ModelNotFound
from tests.catalog.registries import BASES, A, B, C, folder, serve, status
from tests.clocks import Clock

KEPT_S = 1000.0


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock(1e6)


def remembering(
    records: Records, clock: Clock, *known: Version, wall: Clock | None = None
) -> Registry:
    """A registry that remembers names that were taken away, after the records of the last run."""
    registry = Registry(
        BASES, records, keep=2, removed_keep_s=KEPT_S, clock=clock, wall=wall or clock
    )
    versions = {(found.adapter, found.digest): found for found in known}
    registry.last_run.restore(lambda wanted: [versions.get(one) for one in wanted])
    return registry


@pytest.mark.parametrize("restarts", [False, True])
def test_a_name_that_comes_back_takes_up_its_versions(
    records: Records, clock: Clock, restarts: bool
) -> None:
    """While it is away nothing of it can be asked for; back, it can be rolled back."""
    registry = remembering(records, clock)
    serve(registry, A)
    serve(registry, B)
    registry.remove("finance")
    if restarts:
        registry = remembering(records, clock, A, B)

    for model in ("finance", f"finance@{'b' * 12}"):
        with pytest.raises(ModelNotFound):
            registry.acquire(model)
    with pytest.raises(AdapterConflict):
        registry.rollback_target("finance")
    assert registry.snapshot() == ()
    assert status(registry).kept == ()
    assert registry.in_use() == {A.digest, B.digest}

    serve(registry, C)
    assert status(registry).kept == (C, B, A)
    assert registry.rollback_target("finance") == B


def test_a_name_that_stays_away_is_forgotten(records: Records, clock: Clock) -> None:
    """After its time nothing is left of it, in memory and on disk."""
    registry = remembering(records, clock)
    serve(registry, A)
    registry.remove("finance")
    clock.now += KEPT_S - 1
    assert not registry.forget_removed()
    assert registry.in_use() == {A.digest}
    clock.now += 1
    assert registry.forget_removed()
    assert registry.in_use() == frozenset()
    assert registry.status("finance") is None
    assert not records.load()


@pytest.mark.parametrize("step_s", [-1e9, 1e9])
def test_a_clock_that_is_set_forgets_nothing_early(
    records: Records, clock: Clock, step_s: float
) -> None:
    """Neither while the server runs nor over a restart does the wall clock alone end a memory, or
    keep it for ever.
    """
    wall = Clock(1e6)
    registry = remembering(records, clock, wall=wall)
    serve(registry, A)
    registry.remove("finance")
    wall.now += step_s
    assert not registry.forget_removed()
    registry = remembering(records, clock, A, wall=wall)
    assert not registry.forget_removed()
    clock.now += KEPT_S
    assert registry.forget_removed()


def test_a_rollback_outlasts_an_absence_of_the_folder(records: Records, clock: Clock) -> None:
    """The same content that comes back is still the one that was rolled back from."""
    registry = remembering(records, clock)
    serve(registry, A)
    serve(registry, B)
    registry.roll_back(A)
    registry.remove("finance")
    assert registry.remembered("finance", folder(B.digest)) == B.digest
    assert serve(registry, B) == A
    registry.remove("finance")
    assert serve(registry, C) == C
    assert status(registry).rollback is None


def test_what_an_admin_loaded_is_not_what_comes_back(records: Records, clock: Clock) -> None:
    """Its versions are kept for a rollback, its source is not."""
    registry = remembering(records, clock)
    source = AdminSource(path=Path("/srv/a"), passed_over=None, checks="checks")
    registry.set_live(registry.offer(A, source))
    registry.remove("finance")
    assert registry.remembered("finance", source) is None
    registry = remembering(records, clock, A)
    assert registry.snapshot() == ()
    serve(registry, B)
    assert registry.rollback_target("finance") == A


def test_a_version_of_a_name_that_is_away_can_be_forgotten(records: Records, clock: Clock) -> None:
    """An admin who deletes a version means it wherever it is kept."""
    registry = remembering(records, clock)
    serve(registry, A)
    serve(registry, B)
    registry.remove("finance")
    for digest in (B.digest, A.digest):
        registry.forget(digest)
        assert digest not in registry.in_use()
    assert registry.status("finance") is None
    with pytest.raises(AdapterConflict, match="not kept"):
        registry.forget(A.digest)


def test_a_name_that_drains_is_shown_until_it_has(records: Records, clock: Clock) -> None:
    """A request that still runs is of an adapter that is there to be seen."""
    registry = remembering(records, clock)
    serve(registry, A)
    with registry.acquire("finance"):
        registry.remove("finance")
        (shown,) = registry.snapshot()
        assert shown.state is AdapterState.DRAINING
    assert registry.snapshot() == ()
    assert registry.in_use() == {A.digest}
