"""The way to replicas over Ray: what its failures mean."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, RayTaskError

from lorabay.cluster.choice.choice import Wish
from lorabay.cluster.ray_serve.line import RayLine
from lorabay.cluster.replicas.messages import Begun, Question
from lorabay.errors import AdapterRejected, EngineUnavailable

QUESTION = Question(Wish("d"), "chat", {}, None, "r", {}, False)


class Answers:
    """What a handle gives for a call: batches, then a failure or the end."""

    def __init__(self, batches: list[Any], failure: Exception | None = None) -> None:
        self._batches = iter(batches)
        self._failure = failure
        self.cancelled = False

    def __aiter__(self) -> Answers:
        return self

    async def __anext__(self) -> Any:
        for batch in self._batches:
            return batch
        raise self._failure or StopAsyncIteration

    def cancel(self) -> None:
        self.cancelled = True


class Handle:
    """A handle whose calls have these answers."""

    def __init__(self, answers: Answers, results: list[Any] | None = None) -> None:
        self.answers = answers
        self.results = results or []

    def options(self, **_: Any) -> Any:
        return SimpleNamespace(remote=lambda *_: self.answers)

    def broadcast(self, *_: Any) -> Any:
        async def results_async(return_exceptions: bool) -> list[Any]:
            return self.results

        return SimpleNamespace(results_async=results_async)


async def opened(handle: Handle) -> RayLine:
    line = RayLine(SimpleNamespace(deploy=lambda: handle, end=lambda: None))  # type: ignore[arg-type]
    await line.open()
    return line


async def test_a_dead_replica_is_unavailable() -> None:
    """What it had sent by then arrives, and the call is taken back."""
    answers = Answers([[Begun()]], ActorDiedError())
    batches = (await opened(Handle(answers))).ask(QUESTION)
    assert await anext(batches) == [Begun()]
    with pytest.raises(EngineUnavailable, match="gone"):
        await anext(batches)
    assert answers.cancelled


async def test_leaving_early_cancels_in_the_replica() -> None:
    answers = Answers([[Begun()], [Begun()]])
    batches = (await opened(Handle(answers))).ask(QUESTION)
    await anext(batches)
    await batches.aclose()
    assert answers.cancelled


async def test_an_expected_failure_of_one_is_raised() -> None:
    """One that is gone meanwhile is left out."""
    rejected = AdapterRejected("finance", ("rank",))
    told = RayTaskError("f", "traceback", rejected).as_instanceof_cause()
    line = await opened(Handle(Answers([]), [True, told]))
    with pytest.raises(AdapterRejected, match="rank"):
        await line.tell_all("prepare_successor")

    line = await opened(Handle(Answers([]), [True, ActorDiedError()]))
    assert await line.tell_all("facts") == [True]


async def test_nothing_can_be_asked_before_it_is_open() -> None:
    line = RayLine(SimpleNamespace())  # type: ignore[arg-type]
    with pytest.raises(EngineUnavailable, match="no replica"):
        await line.tell_all("facts")
    await line.close()
