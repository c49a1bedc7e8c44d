"""Folders that were taken away, told from folders that are only out of sight."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from lorabay.catalog.root_identity import RootIdentity
from lorabay.reconcile.absences import REMOVAL_CONFIRM_S, Absences, DirectoryState
from tests.clocks import Clock

EMPTY_ROOT_S = 60.0
HOME = RootIdentity(Path("/adapters"), device=1, inode=2, mount=3, mount_point=Path("/"))
VOLUME = replace(HOME, device=9, mount=9, mount_point=Path("/adapters"))
OTHER = replace(HOME, inode=4)
FLIPPED = replace(HOME, real=Path("/releases/2"), inode=5)
THREE = ("finance", "legal", "shop")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def absences(clock: Clock) -> Absences:
    absences = Absences(EMPTY_ROOT_S, clock)
    absences.observe(HOME, THREE, THREE)
    return absences


def test_one_of_several_folders_goes_almost_at_once(absences: Absences, clock: Clock) -> None:
    """Somebody took it away."""
    assert absences.observe(HOME, THREE[1:], THREE) == {"finance": REMOVAL_CONFIRM_S}
    clock.now += REMOVAL_CONFIRM_S
    assert absences.observe(HOME, THREE[1:], THREE) == {"finance": 0.0}
    assert absences.state is DirectoryState.READY


def test_the_last_folder_goes_like_the_others(absences: Absences, clock: Clock) -> None:
    """Folders that are taken away one by one leave an empty directory too."""
    absences.observe(HOME, THREE[:1], THREE[:1])
    assert absences.observe(HOME, (), THREE[:1]) == {"finance": REMOVAL_CONFIRM_S}


@pytest.mark.parametrize(
    ("root", "present", "state"),
    [
        (HOME, (), DirectoryState.EMPTY),
        (OTHER, (), DirectoryState.EMPTY),
        (OTHER, ("shop",), DirectoryState.REPLACED),
        (FLIPPED, (), DirectoryState.EMPTY),
    ],
)
def test_what_may_be_a_fault_is_waited_out(
    absences: Absences,
    clock: Clock,
    root: RootIdentity,
    present: tuple[str, ...],
    state: DirectoryState,
) -> None:
    """All folders gone at once, or another directory in the place, count after the wait only."""
    missing = set(THREE) - set(present)
    for _ in range(3):
        waits = absences.observe(root, present, THREE)
        assert set(waits) == absences.withheld == missing
        assert set(waits.values()) == {EMPTY_ROOT_S - clock.now}
        assert absences.state is state
        clock.now += 1
    clock.now = EMPTY_ROOT_S
    assert set(absences.observe(root, present, THREE).values()) == {0.0}


def test_a_single_folder_is_no_exception_in_another_directory(absences: Absences) -> None:
    """A volume with one adapter may go away as well."""
    absences.observe(HOME, THREE[:1], THREE[:1])
    assert absences.observe(OTHER, (), THREE[:1]) == {"finance": EMPTY_ROOT_S}


def test_a_volume_that_is_unmounted_removes_nothing_ever(clock: Clock) -> None:
    """It may take days until somebody mounts it again."""
    absences = Absences(EMPTY_ROOT_S, clock)
    absences.observe(VOLUME, THREE, THREE)
    for _ in range(3):
        clock.now += 1e6
        assert set(absences.observe(HOME, (), THREE).values()) == {math.inf}
        assert absences.state is DirectoryState.UNMOUNTED
    assert absences.observe(VOLUME, THREE, THREE) == {}
    assert absences.state is DirectoryState.READY
    assert not absences.withheld


def test_a_flipped_link_is_followed(absences: Absences, clock: Clock) -> None:
    """A release that leaves a folder out means it."""
    assert absences.observe(FLIPPED, THREE[:2], THREE) == {"shop": REMOVAL_CONFIRM_S}


def test_nothing_is_known_of_an_empty_directory_at_the_start(clock: Clock) -> None:
    """Its volume may not be mounted yet; one that holds other folders was seen to be there."""
    absences = Absences(EMPTY_ROOT_S, clock)
    assert absences.observe(HOME, (), ("finance",)) == {"finance": EMPTY_ROOT_S}
    absences = Absences(EMPTY_ROOT_S, clock)
    assert absences.observe(HOME, ("shop",), THREE[:1]) == {"finance": REMOVAL_CONFIRM_S}


def test_a_volume_that_fills_up_again_has_its_time(absences: Absences, clock: Clock) -> None:
    """While folders come back one by one, those that are still missing are waited for."""
    absences.observe(HOME, (), THREE)
    clock.now += EMPTY_ROOT_S - 1
    assert absences.observe(HOME, ("legal",), THREE) == dict.fromkeys(
        ("finance", "shop"), EMPTY_ROOT_S
    )
    clock.now += EMPTY_ROOT_S - 1
    assert absences.observe(HOME, ("legal", "shop"), THREE) == {"finance": EMPTY_ROOT_S}
    clock.now += EMPTY_ROOT_S
    assert absences.observe(HOME, ("legal", "shop"), THREE) == {"finance": 0.0}


def test_a_look_that_failed_is_no_proof(absences: Absences, clock: Clock) -> None:
    """A folder that was missing before the directory was away is timed anew after it."""
    absences.observe(HOME, THREE[1:], THREE)
    clock.now += 100
    absences.interrupt(DirectoryState.UNREADABLE)
    assert absences.state is DirectoryState.UNREADABLE
    assert absences.observe(HOME, THREE[1:], THREE) == {"finance": REMOVAL_CONFIRM_S}


@given(
    looks=st.lists(
        st.tuples(
            st.sampled_from([HOME, OTHER, FLIPPED, VOLUME]),
            st.sets(st.sampled_from(THREE)),
            st.floats(0.01, 20.0),
        ),
        max_size=30,
    )
)
def test_no_folder_goes_before_its_time(
    looks: list[tuple[RootIdentity, set[str], float]],
) -> None:
    """Whatever is seen, a name is removed only after it was missing in every look for the time that
    the last look asks for.
    """
    clock = Clock()
    absences = Absences(EMPTY_ROOT_S, clock)
    absences.observe(HOME, THREE, THREE)
    last_seen = dict.fromkeys(THREE, 0.0)
    for root, present, pause_s in looks:
        clock.now += pause_s
        last_seen |= dict.fromkeys(present, clock.now)
        waits = absences.observe(root, present, THREE)
        assert set(waits) == set(THREE) - present
        for name, wait_s in waits.items():
            missing_s = clock.now - last_seen[name]
            needed_s = EMPTY_ROOT_S if name in absences.withheld else REMOVAL_CONFIRM_S
            assert wait_s > 0 or missing_s >= needed_s - 1e-9
