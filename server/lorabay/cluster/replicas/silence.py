"""A replica that has said nothing for long is taken for gone, whatever the cluster says of it.

One that dies breaks its connections, and everybody knows at once. One whose host is cut off, or
that hangs, is only silent; a cluster takes a minute to give it up. Every answer that goes on has a
sign of life each few seconds.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from lorabay.errors import EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

SILENT_S = 20.0
"""Seconds without a batch after which a replica is taken for gone: four signs of life."""
RETRY_AFTER_S = 2.0
"""When a client should ask again whose replica is silent."""

T = TypeVar("T")


async def until_silent(batches: AsyncGenerator[T], silent_s: float = SILENT_S) -> AsyncGenerator[T]:
    """Yield the batches as they come; raises EngineUnavailable when none follows for long.

    The first one may take any time: until then the request may still wait in the cluster's queue.
    """
    try:
        batch = await anext(batches, None)
        while batch is not None:
            yield batch
            async with asyncio.timeout(silent_s):
                batch = await anext(batches, None)
    except TimeoutError:
        raise EngineUnavailable(
            f"the replica that had this request has been silent for {silent_s:g} s; ask again",
            retry_after=RETRY_AFTER_S,
        ) from None
    finally:
        await batches.aclose()
