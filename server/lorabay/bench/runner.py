"""One bench invocation, from settings to report, and the table of scenarios.

Guarantees that no child outlives an invocation. Knows no scenario but by its name.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lorabay.bench.machine import this_machine, versions
from lorabay.bench.progress import NoProgress, Progress
from lorabay.bench.report import Findings, Report
from lorabay.bench.scenarios.adapters import adapters
from lorabay.bench.scenarios.convert import convert
from lorabay.bench.scenarios.gateway import gateway
from lorabay.bench.scenarios.latency import latency
from lorabay.bench.scenarios.load import load
from lorabay.bench.scenarios.many import many
from lorabay.bench.scenarios.memory import memory
from lorabay.bench.scenarios.merge import merge
from lorabay.bench.scenarios.placement import placement
from lorabay.bench.scenarios.scrape import scrape
from lorabay.bench.scenarios.slots import slots
from lorabay.bench.scenarios.stall import stall
from lorabay.bench.scenarios.start import start
from lorabay.bench.scenarios.strategies import strategies
from lorabay.bench.scenarios.swap import swap
from lorabay.bench.scenarios.tune import tune
from lorabay.bench.settings import BenchSettings
from lorabay.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Scenario = Callable[[BenchSettings, Progress], Findings]
"""A scenario plans its steps, takes its turns, and returns figures beside their bars."""
SCENARIOS: Mapping[str, Scenario] = {
    "load": load,
    "gateway": gateway,
    "latency": latency,
    "start": start,
    "swap": swap,
    "many": many,
    "scrape": scrape,
    "adapters": adapters,
    "stall": stall,
    "memory": memory,
    "merge": merge,
    "convert": convert,
    "strategies": strategies,
    "slots": slots,
    "placement": placement,
    "tune": tune,
}
"""Scenarios by their names on the command line, in the order of their help."""
OWN_MODEL = frozenset({"merge", "convert", "slots", "placement"})
"""Scenarios that make what they measure, so that no base is prepared for them."""


def run_bench(
    settings: BenchSettings,
    progress: Progress | None = None,
    scenarios: Mapping[str, Scenario] = SCENARIOS,
) -> Report:
    """Run one scenario to its end and return its findings with everything that repeats them.

    Raises UsageError for settings that cannot work, SetupError for anything else that is expected
    to fail.
    """
    settings.check()

    scenario = scenarios.get(settings.scenario)
    if scenario is None:
        raise UsageError(
            f"bench: no scenario {settings.scenario!r}; there are {', '.join(scenarios)}"
        )

    date = datetime.now(UTC).isoformat(timespec="seconds")
    with _terminated_as_interrupted():
        findings = scenario(settings, progress or NoProgress())

    # A report can be shown to anyone.
    without_key = replace(settings, api_key=None)
    return Report(date, without_key, this_machine(), versions(), findings)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Make SIGTERM unwind the stack like Ctrl-C while the block lasts.

    Its default action would end this process and leave the started servers running.
    """
    # Only the main thread may set handlers.
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
