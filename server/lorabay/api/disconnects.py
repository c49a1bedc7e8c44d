"""Watches for a client that goes away, so that its generation stops costing anything."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from starlette.types import Receive

T = TypeVar("T")


class ClientGone(Exception):
    """The client closed the connection before its request was answered."""


async def until_disconnect(receive: Receive) -> None:
    """Return once the client is gone; the request's body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_disconnected(receive: Receive, work: Coroutine[None, None, T]) -> T:
    """Return the result of `work`, or raise its failure.

    Cancels `work` and raises ClientGone if the client goes away first. Either way `work` has
    ended, its clean-up included, when this returns.
    """
    task = asyncio.create_task(work)
    gone = asyncio.create_task(until_disconnect(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)

        # Work that ended at the moment at which the client left counts as done.
        if task.done():
            return task.result()
        raise ClientGone
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
