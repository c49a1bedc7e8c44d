"""A streamed vLLM response as an `AnswerStream`: encodes events, turns vLLM's error events into
exceptions.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from pydantic import BaseModel
from vllm.entrypoints.serve.engine.protocol import ErrorInfo

from lorabay.serving import vllm_errors
from lorabay.serving.engine import Usage

ERROR_EVENT = 'data: {"error"'
"""How vLLM's serving classes begin an event that reports a failure after the stream has begun."""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What vLLM's serving classes read of, and write to, the HTTP request that they expect."""

    headers: dict[str, str]
    state: SimpleNamespace = field(default_factory=SimpleNamespace)

    @classmethod
    def new(cls, request_id: str) -> RequestContext:
        """Carry a request id, and nothing else of the client's headers."""
        return cls(headers={"X-Request-Id": request_id})


def usage_of(context: RequestContext, result: BaseModel | None = None) -> Usage:
    """Read the usage of a request from what vLLM left in its context, or from its result."""
    metadata = getattr(context.state, "request_metadata", None)
    usage: Any = getattr(metadata, "final_usage_info", None) or getattr(result, "usage", None)
    if usage is None:
        return Usage()
    if hasattr(usage, "input_tokens"):
        return Usage(usage.input_tokens, usage.output_tokens)
    return Usage(usage.prompt_tokens, usage.completion_tokens or 0)


class VllmStream:
    """The events of one streamed answer; `check_engine` raises EngineUnavailable when the engine is
    gone.
    """

    def __init__(
        self,
        events: AsyncGenerator[Any, None],
        context: RequestContext,
        check_engine: Callable[[], object],
    ) -> None:
        self._events = events
        self._context = context
        self._check_engine = check_engine
        self._last: BaseModel | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give each event as bytes; raises LorabayError where vLLM reports a failure."""
        try:
            async for event in self._events:
                yield self._encode(event)
        except vllm_errors.EngineFailure as error:
            raise vllm_errors.from_exception(error) from error

    def _encode(self, event: Any) -> bytes:
        if isinstance(event, str):
            if event.startswith(ERROR_EVENT):
                # vLLM reports the engine's death in a stream as any other internal error.
                self._check_engine()
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
        """Tokens so far as vLLM has reported them: all of them once the stream has ended."""
        return usage_of(self._context, self._last)
