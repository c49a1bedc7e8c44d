"""The way to replicas over a handle of Ray Serve.

Ray chooses the replica, counts the call, and knows of deaths. What the replica answers comes over
its own connection to this front: a stream of Ray's costs about a millisecond of both processes for
each batch of each request.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import RayServeException

from lorabay.cluster.ray_serve import encryption
from lorabay.cluster.replicas.inbox import RETRY_AFTER_S, Inbox, gone
from lorabay.errors import EngineUnavailable, LorabayError
from lorabay.serving.garbage import set_aside

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle, DeploymentResponse

    from lorabay.cluster.ray_serve.application import Application
    from lorabay.cluster.replicas.inbox import Mailbox
    from lorabay.cluster.replicas.messages import Errand, Message, Question


LAST_S = 5.0
"""How long after the end of a call the end of its answer may take."""


class RayLine:
    """Carries questions to the replicas of an application, and messages back."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._handle: DeploymentHandle | None = None
        self._inbox = Inbox(encryption=encryption.listening())
        self._watching: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Deploy the replicas, and return once all of them are up; raises SetupError."""
        await asyncio.to_thread(self._application.join)
        # Not only at the end: until all replicas are up, somebody may lose patience.
        _take_signals_back()
        self._handle = await asyncio.to_thread(self._application.deploy)
        await self._inbox.open(self._application.host())
        _take_signals_back()
        await asyncio.to_thread(set_aside)

    async def close(self) -> None:
        """End the replicas, also those that are still coming up; idempotent."""
        self._handle = None
        await self._inbox.close()
        await asyncio.to_thread(self._application.end)

    async def ask(self, question: Question) -> AsyncGenerator[list[Message]]:
        """Yield what the chosen replica answers; closing it aborts the generation."""
        with self._inbox.mailbox() as mailbox:
            asked = self._up().options(method_name="answer").remote(question, mailbox.reply_to)
            watch = asyncio.create_task(_watch(asked, mailbox))
            self._watching.add(watch)
            watch.add_done_callback(self._watching.discard)

            is_over = False
            try:
                async for batch in mailbox:
                    yield batch
                is_over = True
            finally:
                if not is_over:
                    asked.cancel()

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


async def _watch(asked: DeploymentResponse, mailbox: Mailbox) -> None:
    """Tell a failure of the call: it may not have reached a replica, or that one has died.

    So is one that ends well, and whose answer never comes: its connection broke unseen.
    """
    try:
        await asked
        async with asyncio.timeout(LAST_S):
            await mailbox.ended.wait()
    except asyncio.CancelledError:  # by `ask`
        pass
    except TimeoutError:
        mailbox.fail(gone())
    except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for an answer
        mailbox.fail(_failure(error))


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
    return cause if isinstance(cause, LorabayError) else gone()
