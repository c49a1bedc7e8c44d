"""Counts what vLLM spends on a call while it runs, so that a call that is cut off counts, too.

vLLM reports a request's tokens when it has finished; a client that leaves, or an engine that dies,
comes before that. What vLLM keeps of each request tells how far it has come, and its own counters
(`vllm:prompt_tokens`, `vllm:generation_tokens`) grow at the same moments. One call may run several
requests, for several prompts or choices. Knows nothing of how a call ends.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from lorabay.serving.engine import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vllm.v1.engine.output_processor import OutputProcessor, RequestState

current: ContextVar[Tally | None] = ContextVar("tally", default=None)
"""The tally of the call that runs in this context, and in the tasks that it begins."""


class Tally(Protocol):
    """What vLLM spends on one call."""

    def add(self, request: RequestState) -> None:
        """Count a request from now on."""
        ...

    @property
    def has_begun(self) -> bool:
        """Whether the engine has taken in any of the requests."""
        ...

    def usage(self) -> Usage:
        """Return what the requests have cost so far."""
        ...


class RequestTally:
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
        """Return what the requests have cost so far.

        A prompt counts once it has been read, and once only, however many choices are made of it.
        """
        read = [request for request in self._requests if not request.is_prefilling]
        firsts = [request for request in read if request.request_index == 0]
        generated = (request.detokenizer for request in read)
        times = [request.stats for request in self._requests if request.stats is not None]
        return Usage(
            sum(request.prompt_len for request in firsts),
            sum(tokens.num_output_tokens() for tokens in generated if tokens is not None),
            cached_tokens=sum(request.num_cached_tokens for request in firsts),
            prompts=sum(request.request_index == 0 for request in self._requests),
            sequences=len(self._requests),
            begun_at=_earliest(time.scheduled_ts for time in times),
            first_token_at=_earliest(time.first_token_ts for time in times),
        )


class BeamTally:
    """The requests of a beam search: one for each token of each beam, thousands in all.

    None of them is kept. A prompt is that of the first request of its search.
    """

    def __init__(self) -> None:
        self._prompts: dict[str, int] = {}
        self._tokens = 0
        self._begun_at: float | None = None

    def add(self, request: RequestState) -> None:
        """Count a request from now on."""
        # vLLM names it SEARCH-RANDOM-beam-NUMBER.
        search = request.external_req_id.rsplit("-", 3)[0]
        self._prompts.setdefault(search, request.prompt_len)
        self._tokens += 1
        self._begun_at = self._begun_at or time.monotonic()

    @property
    def has_begun(self) -> bool:
        """Whether the engine has taken in any of the requests."""
        return bool(self._prompts)

    def usage(self) -> Usage:
        """Return what the search has cost so far, as its answer would tell it: a beam's tokens, and
        the prompt once.
        """
        return Usage(
            sum(self._prompts.values()),
            self._tokens,
            prompts=len(self._prompts),
            sequences=len(self._prompts),
            begun_at=self._begun_at,
        )


def _earliest(moments: Iterable[float]) -> float | None:
    """Return the first of vLLM's monotonic times; those that have not come are 0."""
    return min((moment for moment in moments if moment > 0), default=None)


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
