"""Tallies in Redis, for several servers.

Each is a value of its own, read with Redis' time and written back if nobody wrote it meanwhile; if
somebody did, both steps are done again. No script runs in Redis, and the arithmetic is that of
every other store. A tally that nobody needs any more ends by itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from lorabay.accounts.ledger.store import StoreGone
from lorabay.accounts.ledger.tally import LEASE_S, decode, encode, settle
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lorabay.accounts.ledger.store import Clock, Replies, Reports
    from lorabay.accounts.ledger.tally import Counter, Reply, Tally

PREFIX = "lorabay:ledger:"

TOGETHER = 64
"""Counters that are settled in one step: the more, the likelier that somebody comes between."""

MOST_TRIES = 100


class RedisStore:
    """Tallies in the Redis at `url`, whose clock is Redis' own unless `clock` is given.

    Raises SetupError for a URL that is none.
    """

    def __init__(self, url: str, *, timeout_s: float = 1.0, clock: Clock | None = None) -> None:
        self._clock = clock
        try:
            self._redis = redis.Redis.from_url(
                url,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                # A second try may write what the first one has written: the caller tries again.
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError as error:
            raise SetupError(f"--redis is not a URL as redis://HOST:PORT/0: {error}") from None

    def check(self) -> None:
        """Raise SetupError unless Redis answers."""
        try:
            self._redis.ping()
        except redis.RedisError as error:
            raise SetupError(
                f"--redis: Redis does not answer as it should ({type(error).__name__})"
            ) from error

    def settle(self, server: str, reports: Reports) -> Replies:
        """Settle the reports of a server; raises StoreGone."""
        # In one order, so that servers meet at the first counter that they share.
        counters = sorted(reports, key=lambda counter: counter.name)
        replies: dict[Counter, Reply] = {}
        try:
            for start in range(0, len(counters), TOGETHER):
                replies |= self._settle(server, counters[start : start + TOGETHER], reports)
        except redis.RedisError as error:
            raise StoreGone(f"Redis: {type(error).__name__}") from error
        return replies

    def _settle(
        self, server: str, counters: Sequence[Counter], reports: Reports
    ) -> Mapping[Counter, Reply]:
        keys = [PREFIX + counter.name for counter in counters]
        for _ in range(MOST_TRIES):
            with self._redis.pipeline() as pipe:
                pipe.watch(*keys)  # type: ignore[no-untyped-call]
                now, tallies = self._read(pipe, keys)
                replies = {
                    counter: settle(tally, counter, server, reports[counter], now)
                    for counter, tally in zip(counters, tallies, strict=True)
                }
                pipe.multi()
                for key, reply in zip(keys, replies.values(), strict=True):
                    pipe.set(key, encode(reply.tally), ex=_lasts_s(reply))
                try:
                    pipe.execute()
                except redis.WatchError:
                    continue
                return replies
        raise StoreGone("Redis: other servers always came first")

    def _read(self, pipe: redis.client.Pipeline, keys: Sequence[str]) -> tuple[float, list[Tally]]:
        """Return Redis' time, and the tallies of `keys`."""
        seconds, micros = pipe.time()
        now = seconds + micros / 1e6 if self._clock is None else self._clock()
        return now, [decode(text) if text else {} for text in pipe.mget(keys)]

    def close(self) -> None:
        """End the connections."""
        self._redis.close()


def _lasts_s(reply: Reply) -> int:
    """Return how long a tally is needed if nobody reports any more."""
    return math.ceil(max(reply.reset_s, LEASE_S) + LEASE_S) + 60
