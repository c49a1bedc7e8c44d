"""The version that is blamed for a death of the engine."""

from __future__ import annotations

import pytest

from lorabay.catalog.versions import Version
from lorabay.errors import AdapterRejected
from lorabay.serving.supervision.quarantine import Quarantine
from tests.clocks import Clock
from tests.versions import make_version

KILLER, OTHER, PROVEN = (
    make_version("killer", "a"),
    make_version("other", "b"),
    make_version("proven", "c"),
)


@pytest.fixture
def clock() -> Clock:
    return Clock(100.0)


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
    assert quarantine.admits(version)
    return False


def test_what_was_in_a_dead_engine_is_in_doubt(quarantine: Quarantine, clock: Clock) -> None:
    """Whether it was being loaded or a request of it ran; that alone does not refuse it."""
    quarantine.engine_died([KILLER], [OTHER], clock.now)
    assert set(quarantine.in_doubt()) == {KILLER, OTHER}
    assert not is_refused(quarantine, KILLER)
    assert not is_refused(quarantine, OTHER)


def test_what_has_answered_is_never_in_doubt(quarantine: Quarantine, clock: Clock) -> None:
    """A version that the engine has answered with may run during any number of deaths."""
    for _ in range(5):
        quarantine.engine_died([PROVEN], [PROVEN], clock.now)
    assert quarantine.in_doubt() == ()


def test_an_answer_ends_the_doubt_for_good(quarantine: Quarantine, clock: Clock) -> None:
    """The next death is not its fault either."""
    quarantine.engine_died([], [OTHER], clock.now)
    quarantine.proved(OTHER)
    assert quarantine.in_doubt() == ()
    quarantine.engine_died([], [OTHER], clock.now)
    assert quarantine.in_doubt() == ()


def test_what_kills_an_engine_alone_is_quarantined(quarantine: Quarantine, clock: Clock) -> None:
    """It is refused from then on, under every name of the same weights; the others are not."""
    quarantine.engine_died([KILLER], [OTHER], clock.now)
    quarantine.killed(KILLER)
    with pytest.raises(AdapterRejected, match="quarantined"):
        quarantine.check(KILLER)
    assert is_refused(quarantine, make_version("twin", "a"))
    assert quarantine.in_doubt() == (OTHER,)
    assert not is_refused(quarantine, OTHER)


def test_what_was_there_most_often_is_tried_first(quarantine: Quarantine, clock: Clock) -> None:
    """The number of trials is limited, and clients wait for them."""
    for version in (OTHER, KILLER):
        quarantine.engine_died([version], [], clock.now)
    quarantine.trust(KILLER)
    quarantine.engine_died([KILLER], [], clock.now)
    assert quarantine.in_doubt() == (KILLER, OTHER)


def test_a_version_that_cannot_be_tried_out_is_trusted(
    quarantine: Quarantine, clock: Clock
) -> None:
    """Until it is there at the next death."""
    quarantine.engine_died([KILLER], [], clock.now)
    quarantine.trust(KILLER)
    assert quarantine.in_doubt() == ()
    quarantine.engine_died([KILLER], [], clock.now)
    assert quarantine.in_doubt() == (KILLER,)


def test_equal_weights_are_tried_once(quarantine: Quarantine, clock: Clock) -> None:
    """Two names of the same weights are one suspect."""
    quarantine.engine_died([KILLER], [make_version("twin", "a")], clock.now)
    assert quarantine.in_doubt() == (KILLER,)


def test_a_request_that_ended_since_the_last_sign_of_life_counts(
    quarantine: Quarantine, clock: Clock
) -> None:
    """It may have been running; one that was over before was not."""
    quarantine.ended(OTHER)
    clock.now += 10
    alive_at = clock.now
    clock.now += 0.5
    quarantine.ended(KILLER)
    quarantine.engine_died([], [], alive_at)
    assert quarantine.in_doubt() == (KILLER,)


def test_an_ended_request_is_counted_for_one_death_only(
    quarantine: Quarantine, clock: Clock
) -> None:
    """Two deaths in quick succession do not both count for one request."""
    quarantine.ended(KILLER)
    quarantine.engine_died([], [], clock.now)
    quarantine.trust(KILLER)
    quarantine.engine_died([], [], clock.now)
    assert quarantine.in_doubt() == ()


def test_what_an_engine_refused_is_tried_again_on_the_next_engine(
    quarantine: Quarantine, clock: Clock
) -> None:
    """A refusal holds, with the engine's own reasons under the name that asks, until that engine is
    gone.
    """
    quarantine.refused(KILLER, AdapterRejected("killer", ("no such module",)))
    with pytest.raises(AdapterRejected, match=r"'twin'.*no such module"):
        quarantine.check(make_version("twin", "a"))
    quarantine.engine_died([], [], clock.now)
    assert not is_refused(quarantine, KILLER)


def test_a_quarantine_outlasts_the_server_and_ends_with_an_admin(clock: Clock) -> None:
    """What was known in an earlier run is refused until it is forgiven."""
    quarantine = Quarantine(clock, known={KILLER.digest})
    assert is_refused(quarantine, KILLER)
    quarantine.forgive(KILLER)
    assert not is_refused(quarantine, KILLER)
    quarantine.engine_died([KILLER], [], clock.now)
    quarantine.killed(KILLER)
    assert is_refused(quarantine, KILLER)


def test_weights_are_judged_whatever_is_said_of_their_use(
    quarantine: Quarantine, clock: Clock
) -> None:
    """Other defaults neither free a version that kills engines nor put a proven one in doubt."""
    killer = make_version("killer", "f", weights="a")
    proven = make_version("proven", "e", weights="c")
    quarantine.killed(KILLER)
    assert is_refused(quarantine, killer)
    quarantine.engine_died([proven], [], clock.now)
    assert quarantine.in_doubt() == ()
