"""Start times against their bar."""

from __future__ import annotations

import pytest

from lorabay.bench.report import Start
from lorabay.bench.start_times import compare_starts


@pytest.mark.parametrize(("ours", "passed"), [(20.0, True), (35.0, True), (35.1, False)])
def test_ours_may_start_five_seconds_later(ours: float, passed: bool) -> None:
    """Earlier is fine, up to 5 s later is fine, more is not."""
    comparison = compare_starts([Start("vllm", 0, 30.0), Start("lorabay", 0, ours)])
    assert comparison.values == pytest.approx((ours - 30.0,))
    assert comparison.passed is passed
