"""Measures one request from its first byte in to its last byte out, and records it once."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from lorabay.api.disconnects import ClientGone
from lorabay.api.problems import as_error
from lorabay.metrics import UNKNOWN_ADAPTER

if TYPE_CHECKING:
    from prometheus_client import Gauge

    from lorabay.metrics import Metrics
    from lorabay.serving.engine import Call, Usage

SAME_STEP_S = 0.001
"""Events closer than this come from one engine step (of two choices, say), not from two tokens."""

CLIENT_CLOSED_REQUEST = 499
"""Status recorded for a request whose client went away, or that a shutdown cut off."""


class RequestMetrics:
    """The measurements of one request; leaving the `with` block records them.

    `status` (HTTP) and `usage` are set as they become known. A request that ends without a `status`
    is recorded with that of the failure that ended it.
    """

    def __init__(self, metrics: Metrics, call: Call) -> None:
        self.status: int | None = None
        self.usage: Usage | None = None
        self._metrics = metrics
        self._call = call
        self._started = time.perf_counter()
        self._last_token: float | None = None
        self._adapter = UNKNOWN_ADAPTER
        self._running: Gauge | None = None

    def __enter__(self) -> Self:
        return self

    def begin(self, adapter: str) -> None:
        """Count the request as running on `adapter`."""
        self._adapter = adapter

        # Kept: should the adapter go meanwhile, the end must not be counted down anywhere else.
        self._running = self._metrics.of(adapter, self._metrics.running)
        self._running.inc()

    def token(self) -> None:
        """Measure the time to a generated token, which is about to be sent."""
        now = time.perf_counter()
        # Events of one engine step are one token's: only the first of them is measured.
        if self._last_token is None:
            first_token = self._metrics.of(self._adapter, self._metrics.time_to_first_token)
            first_token.observe(now - self._started)
        elif now - self._last_token > SAME_STEP_S:
            gaps = self._metrics.of(self._adapter, self._metrics.inter_token)
            gaps.observe(now - self._last_token)
        self._last_token = now

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Record the request."""
        status = self.status or status_of(failure)
        seconds = time.perf_counter() - self._started

        metrics, adapter, endpoint = self._metrics, self._adapter, self._call.name
        metrics.of(adapter, metrics.requests, endpoint, str(status)).inc()
        metrics.of(adapter, metrics.request_seconds, endpoint).observe(seconds)

        # A request without a known model never counted as running.
        if self._running is not None:
            self._running.dec()

        if self.usage is not None:
            metrics.of(adapter, metrics.prompt_tokens).inc(self.usage.prompt_tokens)
            metrics.of(adapter, metrics.generation_tokens).inc(self.usage.generation_tokens)


def status_of(failure: BaseException | None) -> int:
    """Return the status of a request that `failure` ended; a cancelled one was cut off."""
    if isinstance(failure, Exception) and not isinstance(failure, ClientGone):
        return as_error(failure).status
    return CLIENT_CLOSED_REQUEST
