"""The way to replicas over a handle of Ray Serve."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import RayServeException

from lorabay.errors import EngineUnavailable, LorabayError
from lorabay.serving.garbage import set_aside

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle

    from lorabay.cluster.ray_serve.application import Application
    from lorabay.cluster.replicas.messages import Errand, Message, Question

RETRY_AFTER_S = 2.0
"""When a client should ask again whose replica is gone."""


class RayLine:
    """Carries questions to the replicas of an application, and messages back."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._handle: DeploymentHandle | None = None

    async def open(self) -> None:
        """Deploy the replicas, and return once all of them are up; raises SetupError."""
        self._handle = await asyncio.to_thread(self._application.deploy)
        _take_signals_back()
        await asyncio.to_thread(set_aside)

    async def close(self) -> None:
        """End the replicas; idempotent."""
        if self._handle is not None:
            self._handle = None
            await asyncio.to_thread(self._application.end)

    async def ask(self, question: Question) -> AsyncGenerator[list[Message]]:
        """Yield what the chosen replica answers; closing it aborts the generation."""
        answers = self._up().options(method_name="answer", stream=True).remote(question)
        is_over = False
        try:
            async for batch in answers:
                yield batch
            is_over = True
        except (RayError, RayServeException) as error:
            raise _failure(error) from error
        finally:
            if not is_over:
                answers.cancel()

    async def tell_one(self, errand: Errand) -> None:
        """Have the chosen replica load a version."""
        try:
            await self._up().options(method_name="prepare").remote(errand)
        except (RayError, RayServeException) as error:
            raise _failure(error) from error

    async def tell_all(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of every replica, and return what they return.

        A replica that goes meanwhile is left out; an expected failure of one is raised.
        """
        try:
            told = self._up().broadcast(method, *arguments)
            results = await told.results_async(return_exceptions=True)
        except (RayError, RayServeException) as error:
            raise _failure(error) from error

        for result in results:
            if isinstance(result, RayTaskError):
                raise _failure(result) from result
        return [result for result in results if not isinstance(result, BaseException)]

    def _up(self) -> DeploymentHandle:
        if self._handle is None:
            raise EngineUnavailable("no replica is up", retry_after=RETRY_AFTER_S)
        return self._handle


def _take_signals_back() -> None:
    """Put this process's own handlers of signals in the place of Ray's.

    Ray's handler would end the process three seconds after a SIGTERM, whatever it is doing.
    """
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.getsignal(number))


def _failure(error: Exception) -> LorabayError:
    """Return what a failure of Ray means: the replica's own, if it is expected, or a death."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, LorabayError):
        return cause
    return EngineUnavailable(
        "the replica that had this request is gone; ask again", retry_after=RETRY_AFTER_S
    )
