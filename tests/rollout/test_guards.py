"""When a canary has to go: soon if it is bad, hardly ever if it is as good."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings, strategies as st

from lorabay.rollout.figures import Figures, Sample
from lorabay.rollout.guards import Guards, read_guards, trouble as trouble_of
from lorabay.rollout.strata import Stratum
from tests.rollout.made import drawn, figures

BAD = {
    "failed": {"fails": 0.2},
    "first token": {"first_token_s": 0.6},
    "tokens come": {"tokens_per_s": 15.0},
    "answers are": {"tokens": 400.0},
    "declines": {"declines": 0.5},
}
"""Of each kind a version that is clearly worse, and words of the reason."""


def trouble(canary: Figures, live: Figures, guards: Guards, percent: float = 10) -> str | None:
    """Return what guards say of a rollout that has had one share."""
    return trouble_of([Stratum(percent, live, canary)], guards)


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


def test_where_the_live_version_answers_nobody_most_answers_must_fail() -> None:
    """A canary of 100 %; whether the engine is at fault, nobody can tell there."""

    def alone(canary: Figures) -> str | None:
        return trouble(canary, Figures(), Guards(), 100)

    assert alone(figures(40, fails=1.0)) == "40 of 40 answers failed"
    assert alone(figures(40, 3, fails=0.3)) is None
    assert alone(figures(19, fails=1.0)) is None


def test_a_few_clients_may_all_have_the_canary() -> None:
    """Below 100 % it is judged by itself only if it is not by chance that it answers alone."""
    broken = figures(20, fails=1.0)
    assert trouble(broken, Figures(), Guards(), 10) == "20 of 20 answers failed"
    assert trouble(broken, Figures(), Guards(), 90) is None
    assert trouble(broken, figures(1, fails=1.0), Guards(), 10) is None
    assert trouble(figures(70, fails=1.0), Figures(), Guards(), 90) is not None


def test_of_a_share_with_one_version_nothing_is_compared() -> None:
    """An engine that fails when the canary has everything is not the canary's fault."""
    before = Stratum(50, figures(200, 1, fails=0.0), figures(200, 2, fails=0.0))
    for canary in (figures(6, fails=1.0), figures(200, 3, first_token_s=3.0, tokens_per_s=5.0)):
        assert trouble_of([before, Stratum(100, Figures(), canary)], Guards()) is None


def test_trouble_of_both_while_the_share_grows_is_nobodys_fault() -> None:
    """The canary has half of the bad times, and has had a twentieth of the good ones."""
    good = Stratum(5, figures(1000, 1, fails=0.0), figures(52, 2, fails=0.0))
    for ill in ({"fails": 1.0}, {"first_token_s": 2.0}, {"tokens_per_s": 4.0}, {"tokens": 900.0}):
        bad = Stratum(50, figures(60, 3, **ill), figures(60, 4, **ill))
        assert trouble_of([good, bad], Guards()) is None


@pytest.mark.parametrize(("words", "version"), BAD.items(), ids=BAD)
def test_what_is_bad_at_every_share_has_to_go(words: str, version: dict[str, float]) -> None:
    """Also where no single share has answers enough."""
    strata = [
        Stratum(5 * step, figures(300, step), figures(15, 100 + step, **version))
        for step in range(1, 13)
    ]
    reason = trouble_of(strata, Guards())
    assert reason is not None
    assert words in reason


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


ILL: tuple[dict[str, float], ...] = (
    {},
    {"fails": 0.3},
    {"fails": 0.9},
    {"declines": 0.7},
    {"first_token_s": 2.0, "tokens_per_s": 8.0},
    {"tokens": 1000.0, "fails": 0.1},
)
"""What an engine may do to both versions."""


def history(draw: random.Random, answers: int = 60) -> Iterator[list[Stratum]]:
    """Yield the strata of a rollout of a good canary, after each ten answers.

    The engine is now well and now ill, whatever the step.
    """
    strata: list[Stratum] = []
    for share in sorted(draw.sample(range(1, 100), draw.randint(1, 5))):
        stratum = Stratum(share)
        strata.append(stratum)
        for _ in range(draw.randint(1, 4)):
            trouble = draw.choice(ILL)
            for number in range(answers):
                arm = stratum.canary if draw.random() * 100 < share else stratum.live
                arm.add(drawn(draw, **trouble))
                if number % 10 == 9:
                    yield strata


def test_trouble_common_to_both_hardly_ever_takes_a_good_canary_back() -> None:
    """At the end of a rollout less often than an interval of 99.9 % errs, and seldom before it."""
    draw, rollouts = random.Random(12), 300
    ended = taken_back = 0
    for _ in range(rollouts):
        looks = [trouble_of(strata, Guards()) is not None for strata in history(draw)]
        ended += looks[-1]
        taken_back += any(looks)
    assert ended == 0
    assert taken_back <= rollouts * 0.01


RATES = st.tuples(st.integers(0, 6), st.integers(0, 6)).filter(any)


@given(
    st.lists(
        st.tuples(RATES, st.integers(1, 20), st.integers(1, 60), st.floats(0.01, 100)),
        min_size=1,
        max_size=6,
    )
)
def test_where_both_versions_are_alike_at_each_share_no_guard_speaks(
    shares: list[tuple[tuple[int, int], int, int, float]],
) -> None:
    """However different the shares are, and however strict the limits."""
    strata = []
    for number, ((bad, good), ours, others, slow) in enumerate(shares):
        arms = [Figures(), Figures()]
        for arm, times in zip(arms, (others, ours), strict=True):
            for _ in range(times):
                for _ in range(bad):
                    arm.add(Sample(failed=True))
                for place in range(good):
                    seconds = slow * (1 + place)
                    arm.add(Sample(False, seconds, 1 / seconds, round(seconds), place == 0))
        strata.append(Stratum(number + 1, *arms))
    strict = Guards(failures=0, first_token=1, speed=1, length=1, refusals=0, samples=2)
    assert trouble_of(strata, strict) is None


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(5, 95), min_size=2, max_size=4, unique=True).map(sorted),
    st.lists(st.sampled_from([0.0, 0.1, 0.3]), min_size=4, max_size=4),
    st.sampled_from(sorted(BAD)),
    st.integers(0, 10_000),
)
def test_a_worse_canary_is_found_under_trouble_common_to_both(
    shares: list[int], fails: list[float], kind: str, seed: int
) -> None:
    """What the engine does besides does not hide it."""
    draw, strata = random.Random(f"worse {seed}"), list[Stratum]()
    for share, failing in zip(shares, fails, strict=False):
        worse = {"fails": failing, **BAD[kind]}
        if kind == "failed":
            worse["fails"] += failing + 0.2
        stratum = Stratum(share)
        strata.append(stratum)
        for _ in range(2000):
            if draw.random() * 100 < share:
                stratum.canary.add(drawn(draw, **worse))
            else:
                stratum.live.add(drawn(draw, fails=failing))
    reason = trouble_of(strata, Guards())
    assert reason is not None
    assert kind in reason
