"""When a canary has to go: soon if it is bad, hardly ever if it is as good."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings, strategies as st

from lorabay.rollout.figures import Figures
from lorabay.rollout.guards import Guards, read_guards, trouble
from tests.rollout.made import drawn, figures

BAD = {
    "failed": {"fails": 0.2},
    "first token": {"first_token_s": 0.6},
    "tokens come": {"tokens_per_s": 15.0},
    "answers are": {"tokens": 400.0},
    "declines": {"declines": 0.5},
}
"""Of each kind a version that is clearly worse, and words of the reason."""


@pytest.mark.parametrize(("words", "version"), BAD.items(), ids=BAD)
def test_a_bad_canary_has_to_go_and_the_reason_says_why(
    words: str, version: dict[str, float]
) -> None:
    """Each guard sees what it is for."""
    reason = trouble(figures(200, 1, **version), figures(1800, 2), Guards())
    assert reason is not None
    assert words in reason


@pytest.mark.parametrize(("words", "version"), BAD.items(), ids=BAD)
def test_a_guard_that_is_off_says_nothing(words: str, version: dict[str, float]) -> None:
    """Longer answers may be what the new version is for."""
    off = read_guards(
        dict.fromkeys(("failures", "first_token", "speed", "length", "refusals"), "off")
    )
    assert trouble(figures(200, 1, **version), figures(1800, 2), off) is None


def test_an_empty_answer_is_as_bad_as_a_long_one() -> None:
    """Length is guarded on both sides."""
    reason = trouble(figures(100, 1, tokens=10.0), figures(900, 2), Guards())
    assert reason is not None
    assert "answers are 0." in reason


def test_five_failures_are_enough() -> None:
    """Where the live version answers, as after fifty requests with a canary of a tenth."""
    broken = figures(5, fails=1.0)
    assert trouble(broken, figures(45, fails=0.0), Guards()) is not None
    assert trouble(figures(4, fails=1.0), figures(45, fails=0.0), Guards()) is None


def test_both_failing_is_the_engines_fault() -> None:
    """An engine that is down takes nobody's canary away."""
    assert trouble(figures(50, 1, fails=1.0), figures(450, 2, fails=1.0), Guards()) is None


def test_without_a_live_version_to_compare_with_most_answers_must_fail() -> None:
    """A canary that has all of the traffic from the start."""
    assert trouble(figures(40, fails=1.0), Figures(), Guards()) == "40 of 40 answers failed"
    assert trouble(figures(40, 3, fails=0.3), Figures(), Guards()) is None
    assert trouble(figures(19, fails=1.0), Figures(), Guards()) is None


def test_the_first_failure_of_a_few_proves_nothing() -> None:
    """One of ten may be chance."""
    one = figures(9, fails=0.0)
    one.add(drawn(random.Random(1), fails=1.0))
    assert trouble(one, figures(100, fails=0.0), Guards()) is None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_a_canary_as_good_as_the_live_version_stays(seed: int) -> None:
    """Looked at after every answer of 1,000, over many rollouts."""
    draw = random.Random(f"same {seed}")
    arms = (Figures(), Figures())
    for _ in range(1000):
        arms[draw.random() < 0.1].add(drawn(draw))
        assert trouble(arms[1], arms[0], Guards()) is None


@pytest.mark.parametrize(
    ("wishes", "told"),
    [
        ({"errors": 1}, "no guard"),
        ({"failures": -1}, "from 0 to"),
        ({"first_token": 0.5}, "from 1 to"),
        ({"first_token": "fast"}, "or off"),
        ({"speed": True}, "or off"),
        ({"length": float("nan")}, "or off"),
        ({"refusals": None}, "or off"),
        ({"samples": 1}, "whole number"),
        ({"samples": 2.5}, "whole number"),
        ({"samples": "off"}, "whole number"),
        ({"length": 10**400}, "or off"),
    ],
)
def test_a_wrong_guard_says_what_is_wrong(wishes: dict[str, object], told: str) -> None:
    """Each mistake has its own words."""
    with pytest.raises(ValueError, match=told):
        read_guards(wishes)


def test_guards_as_people_write_them() -> None:
    """Numbers of JSON and of a command line; what is not named keeps its limit."""
    assert read_guards({"length": "off", "first_token": "2", "samples": 50}) == Guards(
        length=None, first_token=2.0, samples=50
    )
