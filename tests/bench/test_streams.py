"""Streams beside a measurement, against a real HTTP server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.bench.load_generator import Target
from lorabay.bench.streams import pauses, running_streams
from lorabay.bench.transcript import Answer, Failure
from lorabay.bench.workload import Workload

if TYPE_CHECKING:
    from tests.bench.conftest import Fake


async def test_streams_ask_anew_until_the_block_ends(fake: Fake) -> None:
    """Each turn-over lets every stream end an answer; afterwards all answers are whole and nobody
    asks.
    """
    async with running_streams(
        Target(fake.url), Workload(("finance",), 7, 5), 3, timeout_s=30
    ) as streams:
        for _ in range(4):
            await streams.turn_over()
    drive = streams.drive()
    asked = fake.seen()

    assert asked["most_open"] <= 3
    assert len(asked["requests"]) == len(drive.outcomes) >= 3
    assert all(
        isinstance(outcome, Answer) and outcome.output_tokens == 5 for outcome in drive.outcomes
    )
    assert drive.seconds > 0
    assert fake.seen()["requests"] == []


async def test_no_two_requests_are_alike(fake: Fake) -> None:
    """No prefix cache answers one request of the streams from another."""
    async with running_streams(
        Target(fake.url), Workload(("finance",), 7, 5), 2, timeout_s=30
    ) as streams:
        for _ in range(3):
            await streams.turn_over()
    prompts = [tuple(request["prompt"]) for request in fake.seen()["requests"]]
    assert len(set(prompts)) == len(prompts) >= 2


async def test_a_stream_that_fails_ends_and_is_counted(fake: Fake) -> None:
    """A refused request is one failure, not a flood of them, and nobody waits for its stream."""
    async with running_streams(
        Target(fake.url), Workload(("refused",), 7, 5), 2, timeout_s=30
    ) as streams:
        await streams.turn_over()
        await streams.turn_over()
    assert (
        streams.drive().outcomes == (Failure("HTTP 404: The model `refused` does not exist."),) * 2
    )


def test_pauses_lie_between_the_tokens_of_one_answer() -> None:
    """Failures have no pauses, and the time between two answers is not one."""
    outcomes = (Answer(0.0, (1.0, 2.0, 4.0), 1, 3), Failure("x"), Answer(8.0, (9.0,), 1, 1))
    assert list(pauses(outcomes)) == [(1.0, 2.0), (2.0, 4.0)]
