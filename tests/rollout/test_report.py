"""What a report says of a rollout."""

from __future__ import annotations

import json
import random

import pytest

from lorabay.rollout.report import report
from lorabay.rollout.rollout import Arm
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
