"""What a report says of a rollout."""

from __future__ import annotations

import json
import random

import pytest

from lorabay.rollout.figures import Sample
from lorabay.rollout.report import report
from lorabay.rollout.rollout import Arm, from_json
from tests.rollout.made import drawn
from tests.rollout.test_rollout import rollout


def test_a_report_compares_the_two_versions() -> None:
    """Each figure of both, how far they are apart, and where that may lie."""
    running, draw = rollout("10"), random.Random(3)
    for _ in range(900):
        running.add(Arm.LIVE, drawn(draw, fails=0.0))
    for _ in range(100):
        running.add(Arm.CANARY, drawn(draw, fails=0.1, tokens=200.0))

    told = report(running)
    assert (told["live"], told["canary"]) == ("finance@aaaaaaaaaaaa", "finance@bbbbbbbbbbbb")
    assert told["answers"] == {"live": 900, "canary": 100}
    assert told["canary_share"]["value"] == pytest.approx(10)
    low, high = told["canary_share"]["interval"]
    assert 8 < low < 10 < high < 12.1

    failures = told["comparison"]["failures"]
    assert failures["live"] == 0
    low, high = failures["interval"]
    assert low < failures["change"] < high
    assert failures["change"] == pytest.approx(failures["canary"])

    tokens = told["comparison"]["tokens"]
    low, high = tokens["interval"]
    assert low < 2 < high
    assert tokens["change"] == pytest.approx(2, rel=0.25)
    assert tokens["live"] == pytest.approx(100, rel=0.2)


def test_a_report_of_nothing_is_json_with_gaps() -> None:
    """Before the first answer, no figure is made up."""
    told = json.loads(json.dumps(report(rollout()), allow_nan=False))
    assert told["canary_share"] == {"value": None, "interval": None}
    for compared in told["comparison"].values():
        assert compared == {"canary": None, "live": None, "change": None, "interval": None}


def test_what_both_versions_have_in_common_is_no_change() -> None:
    """While the share grows and the engine is ill, the sums differ, and the change is none."""
    running, draw = rollout("5:10m", "50"), random.Random(5)
    for share, version in ((0.05, {"fails": 0.0}), (0.5, {"fails": 0.5, "first_token_s": 1.0})):
        for _ in range(1000):
            arm = Arm.CANARY if draw.random() < share else Arm.LIVE
            running.add(arm, drawn(draw, **version))
        if running.step == 0:
            running.advance(2000.0)

    compared = report(running)["comparison"]
    failures, first_token = compared["failures"], compared["first_token_s"]
    assert failures["canary"] > failures["live"] + 20
    assert failures["interval"][0] < 0 < failures["interval"][1]
    assert abs(failures["change"]) < 6
    assert first_token["canary"] > 1.5 * first_token["live"]
    assert first_token["interval"][0] < 1 < first_token["interval"][1]
    assert 43 < report(running)["canary_share"]["value"] < 57


@pytest.mark.parametrize("percent", ["7", "14", "28", "55", "56", "0.07"])
def test_the_share_is_the_one_that_was_given(percent: str) -> None:
    """Without the noise of a division."""
    assert report(rollout(percent))["share"] == float(percent)


def test_figures_of_a_former_release_are_shown_and_not_compared() -> None:
    """They mix all shares; what comes after them is compared."""
    fields = rollout("10").as_json()
    for field in ("strata", "step_answers"):
        del fields[field]
    fields["figures"]["canary"] |= {"answers": 50, "failed": 40}
    fields["figures"]["live"] |= {"answers": 1000}
    former = from_json(fields)
    assert former is not None
    assert former.trouble() is None
    told = report(former)
    assert told["answers"] == {"live": 1000, "canary": 50}
    assert told["comparison"]["failures"] == {
        "canary": 80.0,
        "live": 0.0,
        "change": None,
        "interval": None,
    }
    for arm in Arm:
        former.add(arm, Sample(failed=False))
    assert report(former)["comparison"]["failures"]["change"] == 0
