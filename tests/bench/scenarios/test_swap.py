"""Scenario `swap` with a small server that follows a real adapter directory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from lorabay.bench.load_generator import Drive, Target
from lorabay.bench.progress import NoProgress
from lorabay.bench.scenarios.swap import (
    Swap,
    SwapSeries,
    measure_swaps,
    pause_facts,
    swap_facts,
    version_probe,
)
from lorabay.bench.servers import started
from lorabay.bench.settings import BenchSettings
from lorabay.bench.transcript import Answer, Failure
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lorabay.bench.synthetic_adapters import Publisher
    from tests.bench.conftest import Fake

SMALL = BenchSettings(
    rounds=2, prompt_tokens=4, output_tokens=5, request_timeout_s=30, start_timeout_s=60
)


def test_swaps_are_measured_idle_and_under_streams(
    publisher: Publisher, launch_following: Callable[[Path], Callable[[int], list[str]]]
) -> None:
    """Figures of both halves are there, the bar stands at the idle server's slowest swap, and no
    request failed.
    """
    findings = measure_swaps(launch_following(publisher.adapters), publisher, SMALL, NoProgress())
    facts = {fact.name: fact for fact in findings.facts}

    assert [name for name in facts if "first new answer" in name] == [
        f"rename to first new answer, {half}, {figure}"
        for half in ("idle", "8 streams")
        for figure in ("median", "p99", "maximum")
    ]
    assert {name: fact.bar for name, fact in facts.items() if fact.bar is not None} == {
        "rename to first new answer, idle, maximum": 1.0,
        "failed requests of the probe, idle": 0,
        "failed requests of the probe, 8 streams": 0,
    }
    assert all(fact.value > 0 for name, fact in facts.items() if "first new answer" in name)
    assert facts["failed requests of the probe, 8 streams"].value == 0

    (run,) = findings.runs
    assert (run.concurrency, run.stats.failures) == (8, {})
    assert run.stats.answers >= 8


def test_a_server_that_does_not_swap_is_one_clear_line(
    publisher: Publisher, launch_fake: Callable[..., Callable[[int], list[str]]]
) -> None:
    """An adapter directory that the server does not follow ends the scenario with the reason."""
    settings = BenchSettings(rounds=1, request_timeout_s=0.2)
    with pytest.raises(SetupError, match="was published and did not answer"):
        measure_swaps(launch_fake("swapped"), publisher, settings, NoProgress())


def test_the_slowest_swap_meets_the_bar_or_misses_it() -> None:
    """Median, 99th percentile and maximum are those of the swaps; one slow swap is a missed bar."""
    swaps = SwapSeries(tuple(Swap(10.0, 10.0 + seconds) for seconds in (0.2, 0.4, 1.2)), failures=1)
    median, p99, most, failed = swap_facts("idle", swaps, bar=1.0)
    assert (median.value, p99.value, most.value) == pytest.approx((0.4, 1.184, 1.2))
    assert (median.bar, p99.bar, most.passed) == (None, None, False)
    assert (failed.value, failed.passed) == (1, False)


def test_a_pause_counts_to_the_swap_that_it_touches() -> None:
    """A gap that begins, ends or lies in a swap is one of a swap; time between two answers is not
    a gap.
    """
    outcomes = (
        Answer(0.0, (1.0, 1.1, 1.2, 1.9, 2.0), 1, 5),
        Failure("timed out"),
        Answer(2.5, (3.0, 3.1, 3.25), 1, 3),
    )
    facts = pause_facts(SwapSeries((Swap(1.3, 1.5),), 0), Drive(outcomes, 4.0, 0.1))

    assert [(fact.value, fact.unit) for fact in facts] == [
        (pytest.approx(100), "ms"),
        (pytest.approx(150), "ms"),
        (pytest.approx(700), "ms"),
        (pytest.approx(700), "ms"),
    ]


def test_streams_without_tokens_are_not_judged() -> None:
    """No pause is invented where every stream failed."""
    with pytest.raises(SetupError, match="gave no tokens"):
        pause_facts(SwapSeries((Swap(1.0, 2.0),), 0), Drive((Failure("timed out"),), 4.0, 0.1))


async def test_the_probe_asks_until_the_version_answers(
    publisher: Publisher, launch_following: Callable[[Path], Callable[[int], list[str]]]
) -> None:
    """Answers of the former version count as neither failure nor end; the first of the new version
    is the end.
    """
    former, new = publisher.draft(0), publisher.draft(1)
    publisher.publish(former)
    with started("fake", launch_following(publisher.adapters), BenchSettings()) as server:
        async with version_probe(server.target, "swapped", timeout_s=30) as probe:
            await probe.first_answer_of(former.version)
            publisher.publish(new)
            published = time.perf_counter()
            assert published < await probe.first_answer_of(new.version) < time.perf_counter()
        assert probe.failures == 0


async def test_a_version_that_never_answers_is_one_clear_line(fake: Fake) -> None:
    """The wait is bounded and names the version; requests that are refused are counted."""
    async with version_probe(Target(fake.url), "refused", timeout_s=1.0) as probe:
        with pytest.raises(
            SetupError, match="version 0123456789ab was published and did not answer"
        ):
            await probe.first_answer_of("0123456789ab")
    asked = fake.seen()["requests"]
    assert probe.failures == len(asked) > 0
    assert {request["max_tokens"] for request in asked} == {1}


async def test_a_server_that_is_gone_counts_as_failing() -> None:
    """Refused connections are counted as failures; the probe goes on."""
    async with version_probe(Target("http://127.0.0.1:9"), "finance", timeout_s=1.0) as probe:
        with pytest.raises(SetupError):
            await probe.first_answer_of("0123456789ab")
    assert probe.failures > 0
