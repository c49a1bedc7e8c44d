"""The load generator against a real HTTP server: exact counts, failures as outcomes."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from lorabay.bench.load_generator import Drive, Target, drive
from lorabay.bench.transcript import Answer, Failure
from lorabay.bench.workload import Workload, request_bodies

if TYPE_CHECKING:
    from lorabay.bench.workload import Endpoint
    from tests.bench.conftest import Fake


def run(
    url: str,
    models: tuple[str, ...],
    *,
    count: int,
    concurrency: int = 4,
    endpoint: Endpoint = "completions",
    key: str | None = None,
) -> Drive:
    """Drive `count` requests of 7 prompt and 5 output tokens to their ends."""
    workload = Workload(models, prompt_tokens=7, output_tokens=5, endpoint=endpoint)
    bodies = request_bodies(workload, count, seed=0)
    target = Target(url, key)
    return asyncio.run(
        drive(target, workload.path, bodies, concurrency=concurrency, output_tokens=5, timeout_s=30)
    )


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
def test_every_request_is_sent_once_and_answered(fake: Fake, endpoint: Endpoint) -> None:
    """The server sees each body exactly once, and each answer has its tokens and its usage."""
    driven = run(fake.url, ("tiny", "finance"), count=10, endpoint=endpoint)
    asked = fake.seen()["requests"]
    assert Counter(request["model"] for request in asked) == {"tiny": 5, "finance": 5}
    assert len(driven.outcomes) == 10
    for outcome in driven.outcomes:
        assert isinstance(outcome, Answer)
        assert (outcome.prompt_tokens, outcome.output_tokens, len(outcome.token_times)) == (7, 5, 5)
        assert outcome.sent <= outcome.token_times[0]


def test_no_more_streams_are_open_than_asked(fake: Fake) -> None:
    """Concurrency is a limit that 30 requests never pass."""
    run(fake.url, ("tiny",), count=30, concurrency=3)
    assert 1 <= fake.seen()["most_open"] <= 3


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("refused", "HTTP 404: The model `refused` does not exist."),
        ("short", "4 output tokens instead of 5"),
        ("cut", "the stream ended early"),
        ("erring", "error in the stream: EngineCore died"),
        ("silent", "no usage in the stream"),
        ("garbled", "error in the stream: an event is not JSON"),
    ],
)
def test_failures_are_outcomes_beside_the_answers(fake: Fake, model: str, reason: str) -> None:
    """One bad model in the mix costs its own requests only, each with the reason."""
    driven = run(fake.url, ("tiny", model), count=6)
    assert Counter(type(outcome) for outcome in driven.outcomes) == {Answer: 3, Failure: 3}
    assert {outcome for outcome in driven.outcomes if isinstance(outcome, Failure)} == {
        Failure(reason)
    }


def test_a_server_that_is_not_there_is_a_failure() -> None:
    """Refused connections are counted, not raised."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        driven = run(f"http://127.0.0.1:{unused.getsockname()[1]}", ("tiny",), count=2)
    assert driven.outcomes == (Failure("ClientConnectorError"),) * 2


def test_the_key_is_sent(fake: Fake) -> None:
    """A given API key reaches the server as a bearer token; without one there is no such header."""
    run(fake.url, ("tiny",), count=1, key="k-1")
    run(fake.url, ("tiny",), count=1)
    assert [request["authorization"] for request in fake.seen()["requests"]] == ["Bearer k-1", None]
