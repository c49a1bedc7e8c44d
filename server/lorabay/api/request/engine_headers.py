"""The headers of a request that its engine reads, on a short list.

A proxy in front traces requests through them, or chooses the engine that answers. No other header
reaches an engine: one of vLLM's would let a client pass others in the queue. Knows nothing of what
the engine does with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.errors import InvalidRequest
from lorabay.tracing.names import TRACE_HEADERS

if TYPE_CHECKING:
    from starlette.datastructures import Headers

TRACE_CHARS = 512
"""Length of a trace header up to which it is passed on; the standard asks for that much."""

ENGINE_RANK = "X-data-parallel-rank"
"""Which of several data-parallel engines answers, under the name that vLLM reads."""


def trace_headers(headers: Headers) -> dict[str, str]:
    """Return the headers that name a request's trace; one that is too long is left out."""
    sent = {name: headers[name] for name in TRACE_HEADERS if name in headers}
    return {name: value for name, value in sent.items() if len(value) <= TRACE_CHARS}


def engine_headers(headers: Headers) -> dict[str, str]:
    """Return the headers that an engine reads, under the names by which it knows them.

    Raises InvalidRequest for a rank that is no number, which an engine would pass over.
    """
    passed = trace_headers(headers)
    rank = headers.get(ENGINE_RANK)
    if rank is None:
        return passed

    if not (rank.isascii() and rank.isdecimal()):
        raise InvalidRequest(f"the header {ENGINE_RANK.lower()} must be a whole number from 0 on")
    return passed | {ENGINE_RANK: rank}
