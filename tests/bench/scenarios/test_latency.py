"""Scenario `latency` with small servers that it really starts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lorabay.bench.alternation import Turn
from lorabay.bench.progress import NoProgress
from lorabay.bench.report import Run
from lorabay.bench.scenarios.latency import (
    ADAPTER,
    LITELLM,
    LITELLM_KEY,
    compare,
    latency,
    litellm_of,
    take_turns,
)
from lorabay.bench.settings import BenchSettings
from lorabay.bench.stats import Latency, RunStats
from lorabay.errors import SetupError, UsageError

Launcher = Callable[..., Callable[[int], list[str]]]

SMALL = BenchSettings(rounds=2, requests=4, start_timeout_s=60)


def turn(side: str, number: int, p50_ms: float, p99_ms: float) -> Turn[Run]:
    """A turn over one connection."""
    none = Latency(None, None)
    stats = RunStats(1, {}, 1.0, 1, 1, none, none, Latency(p50_ms, p99_ms))
    return Turn(side, number, 1.0, Run(side, number, 1, stats, 0.0))


def test_all_servers_do_the_same_work_in_turn(launch_fake: Launcher) -> None:
    """LiteLLM is told where vLLM's server is; each side has a turn a round and connection."""
    told: list[str] = []

    def litellm(url: str) -> Callable[[int], list[str]]:
        told.append(url)
        return launch_fake(ADAPTER)

    launches = {"vllm": launch_fake(ADAPTER), "lorabay": launch_fake(ADAPTER)}
    findings = take_turns(launches, litellm, SMALL, NoProgress(), connections=(1, 2))

    assert len(told) == 1
    assert told[0].startswith("http://127.0.0.1:")
    sides = ["vllm", "lorabay", LITELLM]
    order = [(run.concurrency, run.round, run.side) for run in findings.runs]
    assert order == [(n, r, side) for n in (1, 2) for r in (0, 1) for side in sides]
    assert {run.stats.answers for run in findings.runs} == {4}
    assert len(findings.comparisons) == 8


def test_a_failing_side_ends_the_measurement(launch_fake: Launcher) -> None:
    """Latencies of answers that are not whole would say nothing."""
    launches = {"vllm": launch_fake("other"), "lorabay": lambda port: ["false"]}
    with pytest.raises(SetupError, match="lorabay exited"):
        take_turns(launches, None, SMALL, NoProgress())


def test_ours_is_over_vllms_and_litellms_addition_over_ours() -> None:
    """1 ms more on 10 is 1.1; where LiteLLM adds 12 ms it adds 12 times as much."""
    turns = [turn("vllm", 0, 10, 20), turn("lorabay", 0, 11, 30), turn(LITELLM, 0, 22, 40)]
    p50, p50_added, p99, p99_added = compare(turns)

    assert (p50.values, p50.bar, p50.passed) == ((1.1,), 1.2, True)
    assert (p99.values, p99.passed) == ((1.5,), False)
    assert (p50_added.values, p50_added.passed) == ((12.0,), True)
    assert (p99_added.values, p99_added.passed) == ((2.0,), False)


def test_an_addition_within_the_noise_counts_as_little() -> None:
    """A gateway that seems to be faster than none does not make the ratio negative."""
    turns = [turn("vllm", 0, 10, 20), turn("lorabay", 0, 9.9, 20), turn(LITELLM, 0, 11, 21)]
    _, p50_added, _, p99_added = compare(turns)
    assert p50_added.values == p99_added.values == (20.0,)


def test_litellm_passes_requests_on_to_vllm(tmp_path: Path) -> None:
    """Its configuration names the adapter and the server; without the program it is left out."""
    assert litellm_of(None, tmp_path) is None
    in_front_of = litellm_of(Path("/opt/litellm"), tmp_path)
    assert in_front_of is not None

    command = in_front_of("http://127.0.0.1:1234")(4321)
    assert command[0] == "/opt/litellm"
    assert command[command.index("--port") + 1] == "4321"
    config = json.loads(Path(command[command.index("--config") + 1]).read_text())
    assert config["general_settings"] == {"master_key": LITELLM_KEY}
    (model,) = config["model_list"]
    assert model["model_name"] == ADAPTER
    assert model["litellm_params"]["api_base"] == "http://127.0.0.1:1234/v1"


def test_a_base_is_needed_for_its_tokenizer() -> None:
    with pytest.raises(UsageError, match="needs --base"):
        latency(BenchSettings(scenario="latency"), NoProgress())
