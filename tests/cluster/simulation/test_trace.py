"""What is told of a trace."""

from __future__ import annotations

import numpy as np
import pytest

from lorabay.cluster.simulation.trace import Trace

ADAPTER = np.array([0, 0, 0, 1, 0, 2, 1, 0])
TRACE = Trace("made", 4, np.arange(8.0), ADAPTER, np.arange(8), np.ones(8), load_s=np.full(4, 0.1))


def test_facts_describe_it() -> None:
    assert TRACE.facts() == {
        "requests_per_s": pytest.approx(8 / 7),
        "top_share": 5 / 8,
        "used": 3,
    }


def test_adapters_have_digests() -> None:
    assert len(set(TRACE.keys)) == 4
    assert {len(key) for key in TRACE.keys} == {64}
