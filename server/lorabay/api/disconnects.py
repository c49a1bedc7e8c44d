"""Notices that a client went away, so that its generation stops costing anything."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from starlette.types import Receive

T = TypeVar("T")

CLIENT_CLOSED_REQUEST = 499
"""Status recorded for a request whose client went away; nobody receives it."""


class ClientGone(Exception):
    """The client closed the connection before its answer was ready."""


async def until_disconnect(receive: Receive) -> None:
    """Return once the client is gone; the request's body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_disconnected(receive: Receive, work: Coroutine[None, None, T]) -> T:
    """Give the result of `work`; cancel it and raise ClientGone when the client goes away first."""
    task = asyncio.create_task(work)
    gone = asyncio.create_task(until_disconnect(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGone
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
