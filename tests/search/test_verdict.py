"""The verdict by the loss on dev."""

from __future__ import annotations

from lorabay.search.verdict import ByLoss
from tests.search.made import made_finalist


def test_the_lowest_mean_is_first() -> None:
    """Whatever its best seed was."""
    steady, lucky = made_finalist("steady", [2.0, 2.02]), made_finalist("lucky", [1.9, 2.3])
    assert ByLoss().ranked([lucky, steady]) == [steady, lucky]


def test_what_seeds_make_is_noise() -> None:
    """And is called so; a larger difference is not."""
    best, near = made_finalist("best", [1.0, 1.1]), made_finalist("near", [1.03, 1.09])
    far = made_finalist("far", [1.5, 1.6])
    all_three, verdict = [best, near, far], ByLoss()
    assert [verdict.is_noise(one, best, all_three) for one in (near, far)] == [True, False]

    told = verdict.sentences(best, all_three)
    assert told[0].startswith("best has the lowest loss on dev, 1.0500 over 2 seeds")
    assert told[1:] == ["near is 0.0100 above it, which is noise"]
    assert verdict.shown(far, best) == "0.5000"


def test_few_seeds_tell_only_large_differences() -> None:
    """Two means of two seeds differ by more than one training's spread by chance; of thirty, by
    less.
    """
    verdict = ByLoss()
    few = [made_finalist("best", [1.0, 1.1]), made_finalist("other", [1.15, 1.25])]
    assert verdict.is_noise(few[1], few[0], few)

    many = [made_finalist(name, [at, at + 0.1] * 15) for name, at in (("best", 1.0), ("o", 1.04))]
    assert many[1].spread > 0.04
    assert not verdict.is_noise(many[1], many[0], many)
