"""What there is to compare of the answers at one share."""

from __future__ import annotations

from lorabay.rollout.figures import failures, refusals
from lorabay.rollout.intervals import Tally
from lorabay.rollout.strata import Stratum, moments, tallies
from tests.rollout.made import figures

BOTH = Stratum(5, figures(30, 1, fails=0.0), figures(2, 2, fails=0.0))


def test_only_what_both_versions_have_is_compared() -> None:
    """A share at which one of them answered nobody, or once, is left out."""
    alone = Stratum(100, canary=figures(9))
    assert tallies([BOTH, alone], failures) == [(Tally(0, 2), Tally(0, 30))]
    assert tallies([alone], refusals) == []
    once = Stratum(7, figures(30), figures(1, fails=0.0))
    pairs = moments([BOTH, alone, once], lambda one: one.tokens)
    assert pairs == [(BOTH.canary.tokens, BOTH.live.tokens)]
    assert len(tallies([once], failures)) == 1


def test_a_canary_is_alone_where_the_live_version_has_no_clients() -> None:
    """Of everything; and of a part, if that cannot be by chance."""
    assert Stratum(100).is_alone
    assert not Stratum(50).is_alone
    assert not Stratum(50, canary=figures(9)).is_alone
    assert Stratum(50, canary=figures(10)).is_alone
    assert not Stratum(50, figures(1), figures(10)).is_alone
