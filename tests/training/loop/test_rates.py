"""The learning rate climbs, and falls as the recipe says."""

from __future__ import annotations

import pytest

from lorabay.training.loop.rates import share_of_peak
from lorabay.training.recipe import TrainingRecipe


def _shares(schedule: str, warmup: float, steps: int = 100) -> list[float]:
    settings = TrainingRecipe.model_validate(
        {"learning_rate": 1.0, "epochs": 1, "schedule": schedule, "warmup_ratio": warmup}
    )
    return [share_of_peak(step, steps, settings) for step in range(steps)]


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_a_climb_to_the_peak(schedule: str) -> None:
    """A tenth of the steps climbs evenly, whatever follows."""
    shares = _shares(schedule, 0.1)
    assert shares[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert max(shares) == shares[9] == shares[10] == 1
    assert shares[10:] == sorted(shares[10:], reverse=True)


@pytest.mark.parametrize(
    ("schedule", "middle", "end"), [("cosine", 0.5, 0.0), ("linear", 0.5, 0.0), ("constant", 1, 1)]
)
def test_what_follows_is_the_recipes(schedule: str, middle: float, end: float) -> None:
    """Half of the way and at the end; half a cosine is flatter there than a line."""
    shares = _shares(schedule, 0.0)
    assert shares[50] == pytest.approx(middle)
    assert shares[99] == pytest.approx(end, abs=0.011)
    assert _shares("cosine", 0.0)[95] < _shares("linear", 0.0)[95] < _shares("constant", 0.0)[95]


def test_without_a_climb_the_first_step_is_at_the_peak() -> None:
    """Even where it is the only one."""
    assert _shares("cosine", 0.0, steps=1) == [1]
