"""Steps of a rollout, as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from lorabay.rollout.steps import LONGEST_S, MOST_STEPS, Step, read_steps


def test_steps_over_time() -> None:
    """Shares with and without a sign, and times of every unit."""
    assert read_steps(["2.5:90", "5%:10m", "25:1h", "50%:1d", "100"]) == (
        Step(2.5, 90),
        Step(5, 600),
        Step(25, 3600),
        Step(50, 86_400),
        Step(100, 0),
    )


def test_one_share_stays_until_somebody_decides() -> None:
    """Without a time it has no end; none of the traffic is a share as well."""
    assert read_steps(["10"]) == (Step(10, None),)
    assert read_steps(["0"]) == (Step(0, None),)
    assert read_steps(["5:1m", "10%:stay"]) == (Step(5, 60), Step(10, None))


def test_everything_stays_if_that_is_said() -> None:
    """Otherwise it is over when it is proved; either reads back as itself."""
    for text, hold_s in (("100", 0.0), ("100:stay", None), ("100:5m", 300.0)):
        steps = read_steps([text])
        assert steps == (Step(100, hold_s),)
        assert read_steps([str(steps[0])]) == steps


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ([], "1 to"),
        (["5:1m"] * (MOST_STEPS + 1), "1 to"),
        (["101"], "between 0 and 100"),
        (["-1"], "no step"),
        (["ten"], "no step"),
        (["nan"], "no step"),
        (["5:"], "no step"),
        (["5:10w"], "no step"),
        (["5", "10"], "has no time"),
        (["5:stay", "10"], "has no time"),
        (["5:stays"], "no step"),
        (["5:1m", "5:1m"], "must grow"),
        (["25:1m", "5"], "must grow"),
        (["5:31d"], "30 days"),
        (["٥"], "no step"),
    ],
)
def test_wrong_steps_say_what_is_wrong(texts: list[str], told: str) -> None:
    """Each mistake has its own words."""
    with pytest.raises(ValueError, match=told):
        read_steps(texts)


@given(st.lists(st.text(alphabet="0123456789.:%smhd -", max_size=12), max_size=5))
def test_any_text_is_steps_that_grow_or_a_reason(texts: list[str]) -> None:
    """What is accepted can be followed, and is within its limits."""
    try:
        steps = read_steps(texts)
    except ValueError:
        return
    shares = [step.share for step in steps]
    assert shares == sorted(set(shares))
    assert 0 <= shares[0] <= shares[-1] <= 100
    assert all(step.hold_s is not None and step.hold_s <= LONGEST_S for step in steps[:-1])
