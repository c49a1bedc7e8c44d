"""The trace of one request: one span, from its first byte in to its last byte out.

Chooses what is told, and by which name. A span has numbers, names of what is served and ids of who
asked; nothing that a client wrote is told, but the id of its request and the served model that it
named. Knows nothing of OpenTelemetry.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

from lorabay.api.disconnects import ClientGone
from lorabay.api.measuring.request_metrics import status_of
from lorabay.api.measuring.usage_records import ending_of
from lorabay.api.problems import as_error
from lorabay.catalog.versions import DIGEST_PREFIX
from lorabay.metrics import BASE_ADAPTER
from lorabay.serving.engine import CHAT, COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES
from lorabay.tracing import names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lorabay.accounts.callers import Caller
    from lorabay.api.measuring.request_metrics import RequestMetrics
    from lorabay.catalog.versions import Version
    from lorabay.serving.engine import Call, Usage
    from lorabay.tracing.tracer import Span, Tracer

OPERATIONS: Mapping[Call, str] = {
    CHAT: "chat",
    RESPONSES: "chat",
    MESSAGES: "chat",
    COMPLETIONS: "text_completion",
    EMBEDDINGS: "embeddings",
}
"""What OpenTelemetry calls these calls; the others keep their own names."""


class Wait(StrEnum):
    """What a request waits for before the engine is asked."""

    TURN = names.QUEUE_S
    """Its turn, for a place in the engine and a slot for its version's weights."""

    LOAD = names.LOAD_S
    """The weights of its version."""


FAILED = 400
"""Statuses from here on are failures."""

FAILED_HERE = 500
"""Statuses from here on are failures of the server, not of its client."""


class RequestTrace:
    """What is told of one request."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._began = time.monotonic()
        self._asked: float | None = None

    def identify(self, caller: Caller) -> None:
        """Tell who asks."""
        self._span.set(names.KEY, caller.id)
        self._span.set(names.TENANT, caller.tenant)

    def passed_on(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return headers for the engine, so that its span becomes a child of this one."""
        return self._span.passed_on(headers)

    @contextmanager
    def waiting(self, wait: Wait) -> Iterator[None]:
        """Tell how long the block takes, also if it fails."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._span.set(wait.value, time.monotonic() - began)

    def waited(self, seconds: float, *, for_slot: bool) -> None:
        """Tell of a wait for a turn, if what was missing at first was a slot."""
        if for_slot:
            self._span.set(names.SLOT_S, seconds)

    def asked(self) -> None:
        """Note that the engine is asked now: what it waits from here on is its own queue."""
        self._asked = time.monotonic()

    def ran(
        self, model: str, version: Version | None, usage: Usage | None, *, streamed: bool
    ) -> None:
        """Tell what has answered to the name `model`, and what that has cost."""
        adapter = BASE_ADAPTER if version is None else version.adapter
        self._span.set(names.ASKED_MODEL, model)
        self._span.set(names.STREAMED, streamed)
        self._span.set(names.ADAPTER, adapter)
        self._span.set(names.ANSWERING_MODEL, model if version is None else version.id)
        if version is not None:
            self._span.set(names.VERSION, version.digest[:DIGEST_PREFIX])
        if usage is not None:
            self._tell_usage(usage)

    def _tell_usage(self, usage: Usage) -> None:
        self._span.set(names.PROMPT_TOKENS, usage.prompt_tokens)
        self._span.set(names.CACHED_TOKENS, usage.cached_tokens)
        self._span.set(names.GENERATED_TOKENS, usage.generation_tokens)
        self._span.set(names.ENGINE_QUEUE_S, _between(self._asked, usage.begun_at))
        self._span.set(names.FIRST_TOKEN_S, _between(self._began, usage.first_token_at))

    def end(self, status: int, failure: BaseException | None) -> None:
        """Tell how the request ended, which `failure` did if anything, and end the span."""
        self._span.set(names.STATUS, status)
        self._span.set(names.ENDED, ending_of(status, failure).value)
        if status >= FAILED:
            self._span.set(names.ERROR, _kind_of(status, failure))
        if status >= FAILED_HERE:
            self._span.fail()
        self._span.end()


@contextmanager
def traced(
    tracer: Tracer,
    call: Call,
    measured: RequestMetrics,
    *,
    request_id: str,
    headers: Mapping[str, str],
) -> Iterator[RequestTrace]:
    """Trace the request that the block answers, in the trace that its `headers` name.

    It ends with the status that `measured` has by then.
    """
    told = {
        names.METHOD: "POST",
        names.ROUTE: call.path,
        names.PROVIDER: names.SERVICE,
        names.OPERATION: OPERATIONS.get(call, call.name),
        names.REQUEST_ID: request_id,
    }
    trace = RequestTrace(tracer.begin(f"POST {call.path}", headers, told))
    failure: BaseException | None = None
    try:
        yield trace
    except BaseException as error:
        failure = error
        raise
    finally:
        trace.end(measured.status or status_of(failure), failure)


def _between(earlier: float | None, later: float | None) -> float | None:
    """Return the seconds between two moments, None unless both have come."""
    return None if earlier is None or later is None else max(0.0, later - earlier)


def _kind_of(status: int, failure: BaseException | None) -> str:
    """Return the public code of a failure, else the status: never a message."""
    if isinstance(failure, Exception) and not isinstance(failure, ClientGone):
        return as_error(failure).code
    return str(status)
