"""A call whose result somebody else waits for."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from lorabay.files.awaited_call import AwaitedCall


def test_the_result_is_there() -> None:
    """For whoever waits."""
    future: Future[int] = Future()
    AwaitedCall(future, lambda: 7).make()
    assert future.result(0) == 7


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
def test_a_failure_is_raised_where_it_is_awaited(error: BaseException) -> None:
    """Not in the thread, whose other work goes on."""

    def fail() -> None:
        raise error

    future: Future[Any] = Future()
    AwaitedCall(future, fail).make()
    assert future.exception(0) is error


def test_what_was_given_up_is_not_done() -> None:
    """Nobody waits for it any more."""
    done: list[str] = []
    future: Future[None] = Future()
    future.cancel()
    AwaitedCall(future, lambda: done.append("done")).make()
    assert done == []
