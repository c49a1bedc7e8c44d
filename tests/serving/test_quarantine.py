"""The version that is blamed for a death of the engine."""

from __future__ import annotations

import pytest

from lorabay.catalog.versions import Version
from lorabay.errors import AdapterRejected
from lorabay.serving.quarantine import NOTICE_S, Quarantine
from tests.versions import make_version

KILLER, OTHER, PROVEN = (
    make_version("killer", "a"),
    make_version("other", "b"),
    make_version("proven", "c"),
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def quarantine(clock: Clock) -> Quarantine:
    quarantine = Quarantine(clock)
    quarantine.proved(PROVEN)
    return quarantine


def is_refused(quarantine: Quarantine, version: Version) -> bool:
    try:
        quarantine.check(version)
    except AdapterRejected:
        return True
    return False


def test_the_second_death_on_the_same_version_quarantines_it(quarantine: Quarantine) -> None:
    """One death may be chance; after the second the version is refused, and the fact is reported
    once.
    """
    assert quarantine.engine_died([KILLER], []) is None
    assert not is_refused(quarantine, KILLER)
    assert quarantine.engine_died([], [KILLER]) == KILLER
    with pytest.raises(AdapterRejected, match="quarantined"):
        quarantine.check(KILLER)
    assert quarantine.engine_died([], [KILLER]) is None
    assert not is_refused(quarantine, OTHER)


def test_what_has_answered_is_never_blamed(quarantine: Quarantine) -> None:
    """A version that the engine has answered with may run during any number of deaths."""
    for _ in range(5):
        assert quarantine.engine_died([PROVEN], [PROVEN]) is None
    assert not is_refused(quarantine, PROVEN)


def test_proven_versions_do_not_hide_the_killer(quarantine: Quarantine) -> None:
    """The only unproven version is the suspect, whatever else ran."""
    assert quarantine.engine_died([KILLER], [PROVEN]) is None
    assert quarantine.engine_died([PROVEN], [KILLER, PROVEN]) == KILLER


def test_of_two_unproven_versions_neither_is_blamed(quarantine: Quarantine) -> None:
    """A death that two versions could have caused counts against neither."""
    for _ in range(5):
        assert quarantine.engine_died([KILLER], [OTHER]) is None
    assert not is_refused(quarantine, KILLER)
    assert not is_refused(quarantine, OTHER)


def test_deaths_in_between_do_not_clear_a_suspect(quarantine: Quarantine) -> None:
    """The two deaths need not follow one another."""
    quarantine.engine_died([KILLER], [])
    quarantine.engine_died([], [PROVEN])
    quarantine.engine_died([], [])
    assert quarantine.engine_died([], [KILLER]) == KILLER


def test_equal_weights_share_the_blame(quarantine: Quarantine) -> None:
    """Two names of the same weights are one suspect, and are quarantined together."""
    twin = make_version("twin", "a")
    quarantine.engine_died([KILLER], [twin])
    assert quarantine.engine_died([twin], []) == twin
    assert is_refused(quarantine, KILLER)


def test_a_request_that_the_death_ended_counts_as_running(
    quarantine: Quarantine, clock: Clock
) -> None:
    """A request that ended just before a death is noticed counts, because requests fail the moment
    the engine dies.
    """
    for _ in range(2):
        quarantine.ended(KILLER)
        clock.now += NOTICE_S / 2
        culprit = quarantine.engine_died([], [])
    assert culprit == KILLER


def test_a_request_that_ended_long_before_is_not_suspect(
    quarantine: Quarantine, clock: Clock
) -> None:
    """A request that was over well before the death had no part in it."""
    for _ in range(3):
        quarantine.ended(KILLER)
        clock.now += NOTICE_S * 2
        assert quarantine.engine_died([], []) is None


def test_an_ended_request_is_counted_for_one_death_only(quarantine: Quarantine) -> None:
    """Two deaths in quick succession do not both count for one request."""
    quarantine.ended(KILLER)
    quarantine.engine_died([], [])
    assert quarantine.engine_died([], []) is None
    assert not is_refused(quarantine, KILLER)


def test_what_an_engine_refused_is_tried_again_on_the_next_engine(quarantine: Quarantine) -> None:
    """A refusal holds, with the engine's own reasons under the name that asks, until that engine is
    gone.
    """
    quarantine.refused(KILLER, AdapterRejected("killer", ("no such module",)))
    with pytest.raises(AdapterRejected, match=r"'twin'.*no such module"):
        quarantine.check(make_version("twin", "a"))
    quarantine.engine_died([], [])
    assert not is_refused(quarantine, KILLER)
