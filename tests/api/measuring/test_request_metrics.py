"""The metrics after a request of each kind."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from lorabay.api.disconnects import ClientGone
from lorabay.api.measuring import request_metrics as module
from lorabay.api.measuring.request_metrics import RequestMetrics
from lorabay.errors import EngineUnavailable, InvalidApiKey
from lorabay.metrics import Metrics
from lorabay.serving.engine import CHAT, COMPLETIONS, Usage


class Clock:
    """A clock in place of the module's; a test moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def value(metrics: Metrics, series: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(series, labels)


def test_a_request_that_named_no_model_counts_as_unknown(metrics: Metrics) -> None:
    """A request without a known model never runs, and ends under the shared label."""
    with pytest.raises(InvalidApiKey), RequestMetrics(metrics, CHAT):
        raise InvalidApiKey("no")
    assert (
        value(metrics, "lorabay_requests_total", adapter="__unknown__", endpoint="chat", code="401")
        == 1
    )
    assert value(metrics, "lorabay_requests_running", adapter="__unknown__") is None
    assert value(metrics, "lorabay_prompt_tokens_total", adapter="__unknown__") is None


def test_a_request_runs_between_begin_and_end(metrics: Metrics, clock: Clock) -> None:
    """The gauge goes up and comes back; the duration is from arrival to end."""
    with RequestMetrics(metrics, COMPLETIONS) as measured:
        clock.now += 1
        measured.begin("finance")
        assert value(metrics, "lorabay_requests_running", adapter="finance") == 1
        clock.now += 2
        measured.status, measured.usage = 200, Usage(prompt_tokens=7, generation_tokens=11)
    assert value(metrics, "lorabay_requests_running", adapter="finance") == 0
    labels = {"adapter": "finance", "endpoint": "completions"}
    assert value(metrics, "lorabay_request_seconds_sum", **labels) == 3
    assert value(metrics, "lorabay_prompt_tokens_total", adapter="finance") == 7
    assert value(metrics, "lorabay_generation_tokens_total", adapter="finance") == 11


def test_gaps_are_measured_between_tokens(metrics: Metrics, clock: Clock) -> None:
    """Four tokens give one time to the first and three gaps."""
    measured = RequestMetrics(metrics, CHAT)
    measured.begin("finance")
    for gap in (0.5, 0.02, 0.03, 0.04):
        clock.now += gap
        measured.token()
    assert value(
        metrics, "lorabay_time_to_first_token_seconds_sum", adapter="finance"
    ) == pytest.approx(0.5)
    assert value(metrics, "lorabay_inter_token_seconds_count", adapter="finance") == 3
    assert value(metrics, "lorabay_inter_token_seconds_sum", adapter="finance") == pytest.approx(
        0.09
    )


def test_events_of_one_step_are_no_gap(metrics: Metrics, clock: Clock) -> None:
    """Tokens of two choices that come from one step of the engine are one step apart from the
    next.
    """
    measured = RequestMetrics(metrics, CHAT)
    measured.begin("finance")
    for gap in (0.5, 0.0001, 0.04, 0.0001, 0.0001):
        clock.now += gap
        measured.token()
    assert value(metrics, "lorabay_inter_token_seconds_count", adapter="finance") == 1


FAILURES = [
    (EngineUnavailable("gone"), 503),
    (KeyError("a bug"), 500),
    (ClientGone(), 499),
    (asyncio.CancelledError(), 499),
]


@pytest.mark.parametrize(("failure", "code"), FAILURES, ids=lambda value: type(value).__name__)
def test_a_failure_is_recorded_with_its_status(
    metrics: Metrics, failure: BaseException, code: int
) -> None:
    """A request that was cut off counts as 499; a status that is already known stays."""
    for known in (None, 200):
        measured = RequestMetrics(metrics, CHAT)
        measured.begin("finance")
        measured.status = known
        with pytest.raises(type(failure)), measured:
            raise failure
    labels = {"adapter": "finance", "endpoint": "chat"}
    for recorded in (code, 200):
        assert value(metrics, "lorabay_requests_total", code=str(recorded), **labels) == 1


def test_a_request_whose_adapter_goes_ends_under_the_shared_label(metrics: Metrics) -> None:
    """Neither the end nor a late token brings the adapter's series back, and nothing runs on."""
    served = {"finance"}
    metrics.follow_adapters(list, is_served=served.__contains__)
    with RequestMetrics(metrics, CHAT) as measured:
        measured.begin("finance")
        measured.token()
        served.clear()
        metrics.forget("finance")
        measured.token()
        measured.status, measured.usage = 200, Usage(prompt_tokens=7, generation_tokens=11)
    assert value(metrics, "lorabay_requests_running", adapter="finance") is None
    assert value(metrics, "lorabay_prompt_tokens_total", adapter="finance") is None
    assert value(metrics, "lorabay_prompt_tokens_total", adapter="__unknown__") == 7
    assert value(metrics, "lorabay_requests_running", adapter="__unknown__") is None
