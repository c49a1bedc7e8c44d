"""Scenario `start` with small servers that it really starts and stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lorabay.bench.progress import NoProgress
from lorabay.bench.report import Start
from lorabay.bench.scenarios.start import compare_starts, take_turns
from lorabay.bench.settings import BenchSettings

if TYPE_CHECKING:
    from collections.abc import Callable


def test_each_server_is_started_once_a_round(
    launch_fake: Callable[..., Callable[[int], list[str]]],
) -> None:
    """Starts alternate and each is a time from spawn to the first answer."""
    launches = {"vllm": launch_fake("finance"), "lorabay": launch_fake("finance")}
    starts = take_turns(launches, 2, BenchSettings(), NoProgress())

    assert [(start.side, start.round) for start in starts] == [
        ("vllm", 0),
        ("lorabay", 0),
        ("vllm", 1),
        ("lorabay", 1),
    ]
    assert all(start.seconds > 0 for start in starts)


@pytest.mark.parametrize(("ours", "passed"), [(20.0, True), (35.0, True), (35.1, False)])
def test_ours_may_start_five_seconds_later(ours: float, passed: bool) -> None:
    """Earlier is fine, up to 5 s later is fine, more is not."""
    comparison = compare_starts([Start("vllm", 0, 30.0), Start("lorabay", 0, ours)])
    assert comparison.values == pytest.approx((ours - 30.0,))
    assert comparison.passed is passed
