"""A small server, observed from its spawn on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lorabay.bench.load_generator import Target
from lorabay.bench.observed import Observed, observe_idle, observed
from lorabay.bench.readiness import Listing, list_models
from lorabay.bench.resources import ProcessUse
from lorabay.bench.servers import Started
from lorabay.bench.settings import BenchSettings
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_start_is_observed_and_ended(
    launch_fake: Callable[..., Callable[[int], list[str]]],
) -> None:
    """The scan's time is that of the first metrics page, usage that of the server itself; it is
    stopped in the end.
    """
    with observed(launch_fake("finance"), BenchSettings()) as seen:
        assert seen.scan_s == 0.25
        assert 0 < seen.at_http.cpu_s <= seen.at_ready.cpu_s
        assert seen.at_http.read_mib > 0
        assert seen.server.listing.adapters == ("finance",)
        idle = observe_idle(seen.server, seconds=0.0, timeout_s=10)
        assert (idle.passes.count, idle.passes.seconds) == (1, 0.25)
        assert idle.use.cpu_s >= 0
    with pytest.raises(SetupError, match="no server answers"):
        list_models(seen.server.target, timeout_s=10)


def test_a_start_is_compared_where_each_figure_counts() -> None:
    """Processor and reads until HTTP answered, memory when the server was ready."""
    server = Started("lorabay", Target("http://x"), Listing("tiny", ()), 1, 9.0)
    alone = Observed(server, 0.1, ProcessUse(10.0, 1_000, 0), ProcessUse(99.0, 9_999, 500))
    many = Observed(server, 0.9, ProcessUse(12.5, 5_000, 0), ProcessUse(999.0, 99_999, 700))
    assert many.start_beyond(alone) == ProcessUse(2.5, 4_000, 200)
