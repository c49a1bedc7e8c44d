"""Counts what vLLM spends on a call while it runs, so that a call that is cut off counts, too.

vLLM reports a request's tokens when it has finished; a client that leaves, or an engine that dies,
comes before that. What vLLM keeps of each request tells how far it has come. One call may run
several requests, for several prompts or choices. Knows nothing of how a call ends.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from lorabay.serving.engine import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from vllm.v1.engine.output_processor import OutputProcessor, RequestState

current: ContextVar[Tally | None] = ContextVar("tally", default=None)
"""The tally of the call that runs in this context, and in the tasks that it begins."""


class Tally:
    """The requests that vLLM runs for one call."""

    def __init__(self) -> None:
        self._requests: list[RequestState] = []

    def add(self, request: RequestState) -> None:
        """Count a request from now on."""
        self._requests.append(request)

    @property
    def has_begun(self) -> bool:
        """Whether the engine has taken in any of the requests."""
        return bool(self._requests)

    def usage(self) -> Usage:
        """Return the tokens of the requests so far.

        A prompt counts from the moment at which the engine has taken it in, and once, however many
        choices are made of it.
        """
        firsts = (request for request in self._requests if request.request_index == 0)
        generated = (request.detokenizer for request in self._requests)
        return Usage(
            sum(request.prompt_len for request in firsts),
            sum(tokens.num_output_tokens() for tokens in generated if tokens is not None),
        )


def watch_requests(processor: OutputProcessor, added: Callable[[], None]) -> None:
    """Have every request of `processor` counted by the tally of its call, and call `added`."""
    add_request = processor.add_request

    def add_and_count(request: Any, *arguments: Any, **options: Any) -> None:
        add_request(request, *arguments, **options)
        added()
        tally = current.get()
        if tally is not None:
            tally.add(processor.request_states[request.request_id])

    processor.add_request = add_and_count
