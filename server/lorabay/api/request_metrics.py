"""Measures one request from its first byte in to its last byte out, and records it in the
metrics.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lorabay.metrics import UNKNOWN_ADAPTER

if TYPE_CHECKING:
    from lorabay.metrics import Metrics
    from lorabay.serving.engine import Endpoint, Usage

SAME_STEP_S = 0.001
"""Events closer than this come from one engine step (a role, a usage block), not from two
tokens.
"""


class Recording:
    """The facts of one request; `adapter` is set once the request's model is known."""

    def __init__(self, metrics: Metrics, endpoint: Endpoint) -> None:
        self._metrics = metrics
        self._endpoint = endpoint
        self._started = time.perf_counter()
        self._last_event: float | None = None
        self._adapter = UNKNOWN_ADAPTER

    def begin(self, adapter: str) -> None:
        """The request is about to run on `adapter`."""
        self._adapter = adapter
        self._metrics.running.labels(adapter).inc()

    def event(self) -> None:
        """A piece of the streamed answer is going out."""
        now = time.perf_counter()
        if self._last_event is None:
            self._metrics.time_to_first_token.labels(self._adapter).observe(now - self._started)
        elif now - self._last_event > SAME_STEP_S:
            self._metrics.inter_token.labels(self._adapter).observe(now - self._last_event)
        self._last_event = now

    def end(self, code: int, usage: Usage | None = None) -> None:
        """The request is over; `code` is its HTTP status, 499 when the client went away."""
        labels = self._adapter, self._endpoint
        self._metrics.requests.labels(*labels, str(code)).inc()
        self._metrics.request_seconds.labels(*labels).observe(time.perf_counter() - self._started)
        if self._adapter != UNKNOWN_ADAPTER:
            self._metrics.running.labels(self._adapter).dec()
        if usage is not None:
            self._metrics.prompt_tokens.labels(self._adapter).inc(usage.prompt_tokens)
            self._metrics.generation_tokens.labels(self._adapter).inc(usage.generation_tokens)
