"""Traces have the shapes that they are named after."""

from __future__ import annotations

import numpy as np
import pytest

from lorabay.cluster.simulation.traces import TRACES, Size

SIZE = Size(requests=20_000, adapters=200, at_once=300)


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_is_whole(name: str) -> None:
    """As many requests as asked for, in order, at the rate that fills the cluster; made anew it is
    the same.
    """
    trace = TRACES[name](SIZE)
    assert trace.name == name
    assert 0.9 < len(trace) / SIZE.requests < 1.1
    assert np.all(np.diff(trace.at_s) >= 0)
    assert trace.adapter.min() >= 0
    assert trace.adapter.max() < SIZE.adapters
    assert trace.load_s.shape == (SIZE.adapters,)
    assert np.all(trace.takes_s > 0)
    assert trace.takes_s.sum() / SIZE.seconds == pytest.approx(SIZE.at_once, rel=0.15)
    assert np.array_equal(trace.adapter, TRACES[name](SIZE).adapter)


def test_popularity_falls_by_zipf() -> None:
    """The first adapter is asked for twice as often as the second, and ten times as the tenth."""
    counts = np.bincount(TRACES["zipf"](SIZE).adapter)
    assert counts[0] / counts[1] == pytest.approx(2, rel=0.1)
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.2)


def test_gaps_of_an_adapter_vary_as_its_paper_says() -> None:
    """Their coefficient of variation is 1 in S-LoRA's trace, and about 4 in dLoRA's."""
    for name, variation in (("S-LoRA", 1.0), ("dLoRA", 4.0)):
        trace = TRACES[name](SIZE)
        gaps = np.diff(trace.at_s[trace.adapter == 0])
        assert gaps.std() / gaps.mean() == pytest.approx(variation, rel=0.25)


def test_conversations_have_turns_of_one_adapter() -> None:
    """About eight turns each, one after the other."""
    trace = TRACES["bursts"](SIZE)
    sessions = np.unique(trace.session)
    assert len(trace) / len(sessions) == pytest.approx(8, rel=0.1)
    for session in sessions[:50]:
        assert len(set(trace.adapter[trace.session == session])) == 1


def test_ranks_differ_in_their_loads() -> None:
    """Chameleon's adapters of rank 128 take 16 times as long to load as those of rank 8."""
    trace = TRACES["Chameleon"](SIZE)
    assert trace.load_s[4] / trace.load_s[0] == 16
    assert len(set(trace.load_s)) == 5


@pytest.mark.parametrize("name", TRACES)
def test_a_short_trace_has_requests_too(name: str) -> None:
    """Somebody who only tries the command gets a table."""
    for requests in (1, 2, 7, 9):
        for seed in range(4):
            assert len(TRACES[name](Size(requests, 5, 2.0, seed)).at_s) >= 1
