"""A replica that is silent, and one that is only slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from lorabay.cluster.replicas.silence import until_silent
from lorabay.errors import EngineUnavailable


class Replica:
    """Sends batches with pauses, and knows whether it was closed."""

    def __init__(self, *pauses_s: float) -> None:
        self._pauses_s = pauses_s
        self.closed = False

    async def answer(self) -> AsyncGenerator[list[int]]:
        """Yield a batch after each pause."""
        try:
            for number, pause_s in enumerate(self._pauses_s):
                await asyncio.sleep(pause_s)
                yield [number]
        finally:
            self.closed = True


async def test_a_silent_replica_is_given_up() -> None:
    """What it has sent arrives, the client hears that it may ask again, and the call ends."""
    replica = Replica(0, 3600)
    heard = until_silent(replica.answer(), silent_s=0.05)
    assert await anext(heard) == [0]
    with pytest.raises(EngineUnavailable, match=r"silent for 0\.05 s; ask again") as gone:
        await anext(heard)
    assert gone.value.retry_after is not None
    assert replica.closed


async def test_whoever_is_heard_of_may_take_any_time() -> None:
    """Only pauses count."""
    replica = Replica(*[0.01] * 10)
    heard = until_silent(replica.answer(), silent_s=60)
    assert [batch async for batch in heard] == [[number] for number in range(10)]
    assert replica.closed


async def test_a_request_that_no_replica_has_yet_is_not_silent() -> None:
    """It waits in the cluster's queue, behind others."""
    heard = until_silent(Replica(0.2, 0).answer(), silent_s=0.05)
    assert [batch async for batch in heard] == [[0], [1]]


async def test_leaving_early_ends_the_call() -> None:
    """As without the watch."""
    replica = Replica(0, 0)
    heard = until_silent(replica.answer(), silent_s=60)
    await anext(heard)
    await heard.aclose()
    assert replica.closed
