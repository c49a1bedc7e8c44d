"""Scenario `gateway` with two small servers that it really starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lorabay.bench.alternation import Turn
from lorabay.bench.progress import NoProgress
from lorabay.bench.report import Run
from lorabay.bench.scenarios.gateway import compare_speeds, gateway, take_turns
from lorabay.bench.settings import BenchSettings
from lorabay.bench.stats import Latency, RunStats
from lorabay.errors import SetupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    Launcher = Callable[..., Callable[[int], list[str]]]

SMALL = BenchSettings(concurrency=(1, 2), output_tokens=5, requests=4, start_timeout_s=60)


class Steps:
    """Progress that remembers its steps."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def plan(self, steps: int) -> None:
        self.steps.append(f"{steps} steps")

    def step(self, what: str) -> None:
        self.steps.append(what)


def speed(side: str, number: int, streams: int, tokens: int) -> Turn[Run]:
    """Return a turn of two seconds."""
    stats = RunStats(1, {}, 2.0, 1, tokens, Latency(1.0, 1.0), Latency(1.0, 1.0), Latency(1.0, 1.0))
    return Turn(side, number, 2.0, Run(side, number, streams, stats, 0.0))


def test_both_servers_do_the_same_work_in_turn(launch_fake: Launcher) -> None:
    """Turns alternate at every concurrency, with equal tokens, a ratio a round, and both start
    times.
    """
    progress = Steps()
    launches = {"vllm": launch_fake("finance"), "lorabay": launch_fake("finance")}
    findings = take_turns(launches, 2, SMALL, progress)
    order = [(run.concurrency, run.round, run.side) for run in findings.runs]

    assert order == [(s, r, side) for s in (1, 2) for r in (0, 1) for side in ("vllm", "lorabay")]
    assert {(run.stats.answers, run.stats.output_tokens) for run in findings.runs} == {(4, 20)}
    for run in findings.runs:
        assert None not in (run.server_cpu_s, run.idle_cpu_share, run.foreign_cpu_share)

    *speeds, start = findings.comparisons
    assert [(bar.unit, bar.bar, len(bar.values)) for bar in speeds] == [("x", 0.97, 2)] * 2
    assert (start.unit, start.bar, start.at_least, len(start.values)) == ("s", 5.0, False, 1)
    assert [(entry.side, entry.seconds > 0) for entry in findings.starts] == [
        ("vllm", True),
        ("lorabay", True),
    ]
    assert progress.steps[:3] == ["starting vllm", "starting lorabay", "warming up vllm, 1 streams"]


def test_servers_with_other_adapters_are_not_compared(launch_fake: Launcher) -> None:
    """An adapter that one server does not have would make the work unequal."""
    launches = {"vllm": launch_fake("finance", "ecommerce"), "lorabay": launch_fake("finance")}
    with pytest.raises(SetupError, match="vllm serves ecommerce, finance; lorabay serves finance"):
        take_turns(launches, 1, SMALL, NoProgress())


def test_a_server_that_fails_its_warm_up_stops_the_comparison(launch_fake: Launcher) -> None:
    """No ratio is made of answers that are not whole; the reason is named."""
    launches = {"vllm": launch_fake("erring"), "lorabay": launch_fake("erring")}
    with pytest.raises(
        SetupError, match="vllm fails at the warm-up: error in the stream: EngineCore died"
    ):
        take_turns(launches, 1, SMALL, NoProgress())


def test_ours_is_over_theirs() -> None:
    """Half of vLLM's speed is a ratio of 0.5 and misses the bar; each concurrency has its own
    bar.
    """
    turns = [
        speed("vllm", 0, 8, 100),
        speed("lorabay", 0, 8, 50),
        speed("vllm", 0, 32, 100),
        speed("lorabay", 0, 32, 99),
    ]
    eight, thirty_two = compare_speeds(turns)

    assert (eight.values, eight.passed) == ((0.5,), False)
    assert (thirty_two.values, thirty_two.passed) == ((0.99,), True)
    assert "8 streams" in eight.name


def test_gateway_starts_its_own_servers() -> None:
    """Without a base there is nothing to start: said before anything runs."""
    with pytest.raises(UsageError, match="needs --base and --adapters"):
        gateway(BenchSettings(scenario="gateway"), NoProgress())
