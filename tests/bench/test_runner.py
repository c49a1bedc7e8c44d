"""One invocation from settings to report."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from lorabay.bench.runner import SCENARIOS, run_bench
from lorabay.bench.settings import BenchSettings
from lorabay.cli.bench import SCENARIO_HELP
from lorabay.errors import UsageError

if TYPE_CHECKING:
    from lorabay.bench.progress import Progress
    from lorabay.bench.report import Findings
    from tests.bench.conftest import Fake


def terminated(settings: BenchSettings, progress: Progress) -> Findings:
    """A scenario during which this process gets SIGTERM."""
    os.kill(os.getpid(), signal.SIGTERM)
    raise AssertionError("SIGTERM did not unwind")


def test_a_report_says_what_ran_where(fake: Fake) -> None:
    """Findings of the chosen scenario with date, machine, versions and settings, the key
    removed.
    """
    settings = BenchSettings(
        url=fake.url, api_key="k", models=("base",), concurrency=(2,), requests=2, output_tokens=3
    )
    report = run_bench(settings)

    assert [run.stats.output_tokens for run in report.findings.runs] == [6]
    assert report.passed
    assert report.date.endswith("+00:00")
    assert report.machine.cores >= 1
    assert report.versions["python"]
    assert (report.settings.url, report.settings.api_key) == (fake.url, None)


def test_scenarios_of_made_adapters_ask_for_a_base_first() -> None:
    """Nothing is made and nothing started without one."""
    for scenario in ("swap", "many"):
        with pytest.raises(UsageError, match="needs --base with a folder"):
            run_bench(BenchSettings(scenario=scenario))


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_is_where_its_name_says(name: str) -> None:
    """Each scenario is the function of its name in the module of its name, and in the help."""
    assert SCENARIOS[name].__module__ == f"lorabay.bench.scenarios.{name}"
    assert SCENARIOS[name].__name__ == name
    assert f"`{name}`" in SCENARIO_HELP


def test_an_unknown_scenario_names_the_known_ones() -> None:
    """A typing error is a usage error with the choices."""
    with pytest.raises(UsageError, match=f"no scenario 'gatway'; there are {', '.join(SCENARIOS)}"):
        run_bench(BenchSettings(scenario="gatway"))


def test_settings_are_checked_first() -> None:
    """Nothing runs with impossible numbers."""
    with pytest.raises(UsageError, match="output tokens"):
        run_bench(BenchSettings(output_tokens=0, url="http://127.0.0.1:1"))


def test_sigterm_unwinds_like_ctrl_c() -> None:
    """SIGTERM unwinds blocks around started servers; afterwards its old handler is back."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        run_bench(BenchSettings(scenario="t"), scenarios={"t": terminated})
    assert signal.getsignal(signal.SIGTERM) is before
