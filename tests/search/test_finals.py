"""The final: over seeds, with noise told from differences, and test only reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorabay.search.finalist import AS_IT_IS
from lorabay.search.finals import Contestant, Final, run_final
from tests.search.made import MadeFinals, made_finalist, made_space


def test_the_lowest_mean_wins_not_the_luckiest_run() -> None:
    """One low loss among high ones does not win."""
    final = Final((made_finalist(AS_IT_IS, [2.0, 2.02]), made_finalist("lucky", [1.9, 2.3])), 200)
    assert final.winner.name == AS_IT_IS
    assert final.sentences()[-1] == "the recipe as it is was not beaten"


def test_a_difference_below_the_spread_is_noise() -> None:
    """And one above is not."""
    near, far = made_finalist("near", [1.03, 1.09]), made_finalist("far", [1.5, 1.6])
    best = made_finalist("best", [1.0, 1.1])
    final = Final((made_finalist(AS_IT_IS, [2.0, 2.1]), best, near, far), 200)
    assert final.winner is best
    assert (final.is_noise(near), final.is_noise(far)) == (True, False)
    assert any("near is" in line and "noise" in line for line in final.sentences())
    assert not any("far is" in line for line in final.sentences())


@pytest.mark.parametrize(
    ("test", "verdict"), [(0.5, "beats the recipe"), (1.0, "does not clearly beat")]
)
def test_the_test_part_is_reported(test: float, verdict: str) -> None:
    """With an interval; it decides nothing."""
    final = Final(
        (made_finalist(AS_IT_IS, [2.0, 2.1]), made_finalist("best", [1.0, 1.1], test)), 200
    )
    assert verdict in final.sentences()[-1]
    low, high = final.test_interval(final.winner)
    assert low < final.winner.test.value < high

    found = json.loads(json.dumps(final.as_dict()))
    assert found["winner"] == "best"
    assert found["gain_on_test"]["difference"] == pytest.approx(test - 1.0)


def test_each_contestant_is_trained_with_each_seed_once(tmp_path: Path) -> None:
    """A second run finds everything there."""
    space = made_space()
    contestants = {
        AS_IT_IS: Contestant(None, {}, space.recipe_for({})),
        "trial-3": Contestant(3, {"rank": 16}, space.recipe_for({"rank": 16})),
    }
    trainer, done = MadeFinals(), list[str]()
    first = run_final(contestants, (6, 7), tmp_path, trainer, done.append)
    assert len(trainer.asked) == len(done) == 4
    assert [run.seed for run in first.finalists[1].runs] == [6, 7]

    idle = MadeFinals()
    assert run_final(contestants, (6, 7), tmp_path, idle) == first
    assert idle.asked == []
