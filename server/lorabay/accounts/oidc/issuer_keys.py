"""The keys of an issuer as they were read last: what tokens are checked with.

A task reads them every few minutes; a token with a key that is not known has them read at once, but
not more often than every few seconds, as anybody may send such tokens. While the issuer cannot be
reached, the keys that are known are taken, for a bounded time.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from lorabay.errors import SetupError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from jwt import PyJWK

logger = structlog.get_logger(__name__)

REFRESH_S = 300.0
"""Time between two reads: a key that the issuer has withdrawn is not taken much longer."""

COOLDOWN_S = 10.0
"""Least time between two reads, and the time until a read that failed is tried again."""

RETRY_AFTER_S = 5.0


class IssuerKeys:
    """The keys that `read` returns; belongs to one event loop. None are known at first.

    `max_age_s` is how long keys are taken after the issuer has last answered.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[Mapping[str, PyJWK]]],
        *,
        max_age_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._max_age_s = max_age_s
        self._clock = clock
        self._keys: Mapping[str, PyJWK] = {}
        self._read_at = -float("inf")
        self._tried_at = -float("inf")
        self._reading = asyncio.Lock()
        self._is_failing = False

    @property
    def age_s(self) -> float:
        """Seconds since the issuer has last told its keys; infinite if it never has."""
        return self._clock() - self._read_at

    def key(self, key_id: str) -> PyJWK | None:
        """Return the key of an id, or the only one for a token without an id; None if unknown.

        Raises StorageUnavailable if the issuer has not answered for too long.
        """
        if self.age_s > self._max_age_s:
            raise StorageUnavailable(
                "tokens cannot be checked now: their issuer does not answer",
                retry_after=RETRY_AFTER_S,
            )
        if not key_id and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    async def learn(self, key_id: str) -> None:
        """Read the keys again if this one is not known, and they were not read just now."""
        if self._knows(key_id):
            return
        async with self._reading:
            # Somebody else may have waited for the same key.
            if not self._knows(key_id) and self._clock() - self._tried_at >= COOLDOWN_S:
                await self._look()

    async def refresh(self) -> None:
        """Read the keys; those that are known are kept if that fails."""
        async with self._reading:
            await self._look()

    async def follow(self) -> None:
        """Read the keys now, and from time to time, until cancelled."""
        while True:
            try:
                await self.refresh()
            except Exception:  # a bug must not end the withdrawal of keys
                logger.exception("bug", what="issuer")
            await asyncio.sleep(COOLDOWN_S if self._is_failing else REFRESH_S)

    def _knows(self, key_id: str) -> bool:
        return key_id in self._keys or (not key_id and bool(self._keys))

    async def _look(self) -> None:
        self._tried_at = self._clock()
        try:
            self._keys = await self._read()
        except SetupError as error:
            if not self._is_failing:
                logger.warning(
                    "tokens are checked with the keys that are known",
                    reason=error.message,
                    known=len(self._keys),
                    for_s=round(self._max_age_s),
                )
            self._is_failing = True
            return

        self._read_at = self._clock()
        if self._is_failing:
            logger.info("the issuer of tokens answers again")
        self._is_failing = False
