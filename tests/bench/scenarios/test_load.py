"""Scenario `load` against a running server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lorabay.bench.progress import NoProgress
from lorabay.bench.scenarios.load import load
from lorabay.bench.settings import BenchSettings
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from tests.bench.conftest import Fake


def test_each_concurrency_is_one_run_of_exact_counts(fake: Fake) -> None:
    """Requests, tokens and models of every run are those asked for, as the server's usage counts
    them.
    """
    settings = BenchSettings(
        url=f"{fake.url}/v1/",
        models=("base", "finance"),
        concurrency=(1, 3),
        requests=6,
        output_tokens=5,
    )
    findings = load(settings, NoProgress())

    assert [(run.concurrency, run.stats.answers) for run in findings.runs] == [(1, 6), (3, 6)]
    assert [(run.stats.prompt_tokens, run.stats.output_tokens) for run in findings.runs] == [
        (192, 30)
    ] * 2
    assert all(run.stats.output_tokens_per_s > 0 for run in findings.runs)

    measured = [request for request in fake.seen()["requests"] if request["max_tokens"] == 5]
    assert [request["model"] for request in measured].count("tiny") == 6
    assert [request["model"] for request in measured].count("finance") == 6


def test_rounds_repeat_with_new_prompts(fake: Fake) -> None:
    """No request of an invocation comes twice, so no prefix cache answers a later run."""
    load(
        BenchSettings(url=fake.url, models=("base",), concurrency=(1, 2), requests=4, rounds=3),
        NoProgress(),
    )
    prompts = [tuple(request["prompt"]) for request in fake.seen()["requests"]]
    assert len(prompts) == len(set(prompts)) == 1 + 2 + 2 * 3 * 4


def test_failing_requests_are_counted(fake: Fake) -> None:
    """A refused model costs its own requests; the run goes on and says why they failed."""
    settings = BenchSettings(
        url=fake.url, models=("base", "refused"), concurrency=(2,), requests=4, output_tokens=5
    )
    (run,) = load(settings, NoProgress()).runs
    assert run.stats.failures == {"HTTP 404: The model `refused` does not exist.": 2}
    assert (run.stats.answers, run.stats.output_tokens) == (2, 10)


def test_a_model_that_is_not_served_stops_the_scenario(fake: Fake) -> None:
    """An unknown name is an error before the first run, not a run full of failures."""
    with pytest.raises(SetupError, match="does not serve finanse"):
        load(BenchSettings(url=fake.url, models=("finanse",)), NoProgress())
    assert fake.seen()["requests"] == []
