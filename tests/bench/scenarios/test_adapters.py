"""Scenario `adapters` with small servers that it really starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lorabay.bench.progress import NoProgress
from lorabay.bench.scenarios.adapters import (
    AS_IT_COMES,
    NAMES,
    Case,
    Side,
    adapters,
    cases,
    promptness,
    take_turns,
)
from lorabay.bench.settings import BenchSettings
from lorabay.bench.stats import Latency, RunStats
from lorabay.errors import SetupError, UsageError

Launcher = Callable[..., Callable[[int], list[str]]]

SMALL = BenchSettings(rounds=2, start_timeout_s=60)
CASE = Case(
    "decode",
    2,
    (
        Side("ours", "lorabay", ("finance",)),
        Side("bare", "bare", ("base",)),
        Side("stock", "stock", ("ecommerce",)),
    ),
    bar=0.01,
    output_tokens=4,
    per_stream=2,
)


def test_sides_take_turns_and_the_first_is_compared_with_the_second(launch_fake: Launcher) -> None:
    """Each round every side does the same work; a further side is shown beside them."""
    servers = {
        name: (launch_fake("finance", "ecommerce"), {}) for name in ("bare", "lorabay", "stock")
    }
    findings = take_turns(servers, (CASE,), SMALL, NoProgress())

    assert [run.side for run in findings.runs] == ["decode: ours", "decode: bare"] * 2 + [
        "decode: stock"
    ]
    assert {(run.stats.answers, run.stats.output_tokens) for run in findings.runs} == {(4, 16)}

    names = [
        (comparison.name, comparison.bar, len(comparison.values))
        for comparison in findings.comparisons
    ]
    assert names == [("decode: ours / bare", 0.01, 2), ("decode: stock / bare", 0.0, 1)]
    assert [start.side for start in findings.starts] == ["bare", "lorabay", "stock"]


def test_ours_is_over_the_base_as_vllm_comes(launch_fake: Launcher) -> None:
    """In the first round; where the case has no bar for that, it is left out."""
    case = replace(CASE, sides=CASE.sides[:2], over_as_it_comes=0.01).with_base_as_it_comes()
    servers = {name: (launch_fake("finance"), {}) for name in ("bare", "lorabay", AS_IT_COMES)}
    _, over = take_turns(servers, (case,), SMALL, NoProgress()).comparisons
    assert (over.name, over.bar) == (f"decode: ours / {AS_IT_COMES}", 0.01)
    assert len(over.values) == 1
    assert CASE.with_base_as_it_comes() == CASE


def test_a_failing_side_ends_the_measurement(launch_fake: Launcher) -> None:
    """A ratio of half-failed runs would say nothing."""
    broken = replace(CASE, sides=(Side("ours", "lorabay", ("short",)), CASE.sides[1]))
    servers = {name: (launch_fake("short"), {}) for name in ("bare", "lorabay")}
    with pytest.raises(SetupError, match="ours failed in 'decode'"):
        take_turns(servers, (broken,), SMALL, NoProgress())


def test_every_case_of_the_table_is_there() -> None:
    """The cases are 1, 8 and 32 streams, prompts, more adapters than slots, and DoRA."""
    wanted = cases(NAMES)

    assert [(case.streams, case.bar) for case in wanted] == [
        (1, 0.85),
        (8, 0.85),
        (32, 0.85),
        (4, 0.9),
        (8, 0.85),
        (8, 0.9),
    ]
    assert [case.over_as_it_comes for case in wanted] == [None, 4.0, 5.0, 6.0, None, None]
    assert "base" in wanted[2].sides[0].models
    assert wanted[3].prompt_tokens == 512


def test_an_earlier_first_token_is_better() -> None:
    """Promptness grows as the first token comes earlier, so that more is better in every ratio."""
    stats = RunStats(
        1, {}, 1.0, 1, 1, Latency(50.0, 50.0), Latency(None, None), Latency(50.0, 50.0)
    )
    assert promptness(stats) == 20.0


def test_a_base_is_needed_and_a_url_is_refused() -> None:
    """The scenario starts its own servers."""
    with pytest.raises(UsageError, match="--base"):
        adapters(BenchSettings(), NoProgress())
    with pytest.raises(UsageError, match="leave out --url"):
        adapters(BenchSettings(url="http://127.0.0.1:1"), NoProgress())
