"""Messages between a front and a replica."""

from __future__ import annotations

import pickle

import pytest

from lorabay.cluster.replicas.messages import Failed, received
from lorabay.errors import (
    AdapterRejected,
    ContextLengthExceeded,
    EngineUnavailable,
    InvalidRequest,
    LorabayError,
    RateLimited,
)
from lorabay.serving.engine import Usage


def test_times_are_moved_to_the_receivers_clock() -> None:
    """What began two seconds before the message was sent, began two seconds before now."""
    usage = Usage(5, 3, begun_at=98.0, first_token_at=99.5)
    moved = received(usage, sent_at=100.0, now=7.0)
    assert (moved.begun_at, moved.first_token_at) == (5.0, 6.5)
    assert (moved.prompt_tokens, moved.generation_tokens) == (5, 3)
    assert received(Usage(), 100.0, 7.0) == Usage()


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest("wrong", param="n", status=422),
        ContextLengthExceeded("5 tokens", param="messages"),
        EngineUnavailable("not now", retry_after=2.5),
        AdapterRejected("finance", ("a reason",)),
        RateLimited("too many", retry_after=1.0),
    ],
)
def test_failures_arrive_as_they_were(error: LorabayError) -> None:
    """Class, status, code, message and what to do survive the way between processes."""
    arrived = pickle.loads(pickle.dumps(Failed(error))).error  # noqa: S301
    assert type(arrived) is type(error)
    assert (arrived.status, arrived.code, arrived.message) == (
        error.status,
        error.code,
        error.message,
    )
    assert (arrived.param, arrived.retry_after) == (error.param, error.retry_after)
