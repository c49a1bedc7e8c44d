"""A streamed vLLM response as an `AnswerStream`.

Encodes vLLM's events and turns those that report an error into exceptions. Knows nothing of how
events reach a client.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from pydantic import BaseModel
from vllm.entrypoints.serve.engine.protocol import ErrorInfo

from lorabay.errors import LorabayError
from lorabay.serving.engine import Usage
from lorabay.serving.vllm import errors as vllm_errors
from lorabay.serving.vllm.usage import RequestTally, Tally

ERROR_EVENT = 'data: {"error"'
"""How vLLM's serving classes begin an event that reports a failure after the stream has begun."""

BROKEN_EVENT = "event: error\n"
"""How vLLM's class for messages begins an event on a failure of its own."""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Stands in for the HTTP request that vLLM's serving classes read from and write to."""

    headers: Mapping[str, str]
    state: SimpleNamespace = field(default_factory=SimpleNamespace)
    tally: Tally = field(default_factory=RequestTally)

    @classmethod
    def new(
        cls, request_id: str, headers: Mapping[str, str] | None = None, tally: Tally | None = None
    ) -> RequestContext:
        """Return a context that carries a request id, and no header of the client but `headers`."""
        named = {**(headers or {}), "X-Request-Id": request_id}
        return cls(headers=named, tally=tally or RequestTally())

    @property
    def has_prompt(self) -> bool:
        """Whether vLLM has made a prompt of the body: its metadata is here, or it is begun."""
        return hasattr(self.state, "request_metadata") or self.tally.has_begun


def usage_of(context: RequestContext, result: BaseModel | None = None) -> Usage:
    """Return a request's usage, which vLLM leaves in its context or in its result.

    Of a request that was cut off, that is what it had cost by then.
    """
    metadata = getattr(context.state, "request_metadata", None)
    usage: Any = getattr(metadata, "final_usage_info", None) or getattr(result, "usage", None)
    counted = context.tally.usage()
    if usage is None:
        return counted

    # Responses name their fields differently.
    if hasattr(usage, "input_tokens"):
        prompt, generated = usage.input_tokens, usage.output_tokens
    else:
        prompt, generated = usage.prompt_tokens, usage.completion_tokens or 0
    return replace(counted, prompt_tokens=prompt, generation_tokens=generated)


class VllmStream:
    """The events of one streamed answer.

    `check_failure` raises what a failure is known to come from: EngineUnavailable if the engine is
    gone.
    """

    def __init__(
        self,
        events: AsyncGenerator[Any, None],
        context: RequestContext,
        check_failure: Callable[[], object],
    ) -> None:
        self._events = events
        self._context = context
        self._check_failure = check_failure
        self._last: BaseModel | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Return each event as bytes; raises LorabayError where vLLM reports a failure."""
        try:
            async for event in self._events:
                yield self._encode(event)
        except vllm_errors.EngineFailure as error:
            self._check_failure()
            raise vllm_errors.from_exception(error) from error

    def _encode(self, event: Any) -> bytes:
        if isinstance(event, str):
            if event.startswith(BROKEN_EVENT):
                self._check_failure()
                raise LorabayError("the answer broke off; the server's log has the details")
            if event.startswith(ERROR_EVENT):
                # vLLM reports the engine's death in a stream as any other internal error.
                self._check_failure()
                failure = json.loads(event.removeprefix("data: "))
                raise vllm_errors.from_info(ErrorInfo.model_validate(failure["error"]))
            return event.encode()

        # The Responses API streams typed events; the last one carries the whole response.
        self._last = getattr(event, "response", self._last)
        return f"event: {event.type}\ndata: {event.model_dump_json(by_alias=True)}\n\n".encode()

    async def aclose(self) -> None:
        """Abort the generation if it still runs."""
        with contextlib.suppress(*vllm_errors.EngineFailure):
            await self._events.aclose()

    @property
    def usage(self) -> Usage:
        """Tokens that the answer has cost so far; all of them once the stream has ended."""
        return usage_of(self._context, self._last)
