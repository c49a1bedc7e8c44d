"""The figures of a run."""

from __future__ import annotations

import pytest

from lorabay.bench.stats import Latency, latency, summarise
from lorabay.bench.transcript import Answer, Failure


def test_tokens_count_only_in_whole_answers() -> None:
    """Throughput is the usage of the answers over the wall time; failures are counted by reason."""
    outcomes: list[Answer | Failure] = [
        Answer(0.0, (0.5, 0.6, 0.8), prompt_tokens=10, output_tokens=3),
        Failure("timed out"),
        Answer(1.0, (1.1, 1.3, 1.5), prompt_tokens=10, output_tokens=3),
        Failure("timed out"),
        Failure("HTTP 500"),
    ]
    stats = summarise(outcomes, seconds=2.0)

    assert (stats.answers, stats.prompt_tokens, stats.output_tokens) == (2, 20, 6)
    assert stats.output_tokens_per_s == 3.0
    assert stats.failures == {"timed out": 2, "HTTP 500": 1}


def test_latencies_are_those_of_the_clock_readings() -> None:
    """First token and the whole from the request's start, gaps between following tokens of one
    answer only.
    """
    outcomes = [Answer(0.0, (0.5, 0.6, 0.8), 1, 3), Answer(1.0, (1.1, 1.3, 1.5), 1, 3)]
    stats = summarise(outcomes, seconds=1.0)
    assert stats.first_token.p50_ms == pytest.approx(300)
    assert stats.inter_token.p50_ms == pytest.approx(200)
    assert stats.request.p50_ms == pytest.approx(650)
    assert stats.inter_token.p99_ms == pytest.approx(200)


def test_percentiles_of_a_known_row() -> None:
    """p50 and p99 interpolate between neighbours."""
    hundred = latency([i / 1_000 for i in range(101)])
    assert hundred.p50_ms == pytest.approx(50)
    assert hundred.p99_ms == pytest.approx(99)


def test_a_run_without_an_answer_has_no_latency() -> None:
    """All requests failed: zero tokens, no invented figure."""
    stats = summarise([Failure("x")], seconds=1.0)
    assert stats.output_tokens_per_s == 0
    assert stats.first_token == stats.inter_token == stats.request == Latency(None, None)
