"""Looks at the adapter directory, read from metrics pages."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from lorabay.bench.passes import Passes, parse_passes
from lorabay.errors import SetupError
from lorabay.metrics import Metrics


def test_our_own_page_is_understood() -> None:
    """Number and seconds are those that the server's metrics have counted."""
    metrics = Metrics(CollectorRegistry())
    metrics.reconcile_seconds.observe(0.25)
    before = parse_passes(generate_latest(metrics.registry).decode())
    for seconds in (0.5, 1.0):
        metrics.reconcile_seconds.observe(seconds)
    after = parse_passes(generate_latest(metrics.registry).decode())
    assert before == Passes(1, 0.25)
    assert after.since(before) == Passes(2, 1.5)


def test_the_page_of_another_server_is_one_clear_line() -> None:
    """Without the series there is nothing to report."""
    with pytest.raises(SetupError, match="has no lorabay_reconcile_seconds"):
        parse_passes("# TYPE other counter\nother_total 1\n")
