"""Headers that reach the engine: those of a short list, and no others."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from lorabay.api.request.engine_headers import TRACE_CHARS, engine_headers
from lorabay.errors import InvalidRequest
from lorabay.serving.engine import CALLS, Call
from tests.api.conftest import Api

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
async def test_the_engine_gets_what_it_reads_and_nothing_else(api: Api, call: Call) -> None:
    """A trace and a rank pass under the engine's names; keys, cookies and priorities do not."""
    headers = {
        "Traceparent": TRACE,
        "tracestate": "vendor=1",
        "x-data-parallel-rank": "1",
        "authorization": "Bearer secret",
        "cookie": "a=b",
        "x-vllm-priority": "-9",
        "x-session-id": "s",
    }
    await api.http.post(call.path, json={"model": "finance"}, headers=headers)
    assert api.engine.headers == {
        "traceparent": TRACE,
        "tracestate": "vendor=1",
        "X-data-parallel-rank": "1",
    }
    await api.http.post(call.path, json={"model": "finance"})
    assert api.engine.headers == {}


@pytest.mark.parametrize("rank", ["", "one", "-1", "1.0", "1 2", "²"])
def test_a_rank_that_is_no_number_is_told(rank: str) -> None:
    """The engine would take it for none, and another one would answer."""
    with pytest.raises(InvalidRequest, match="x-data-parallel-rank"):
        engine_headers(Headers(raw=[(b"x-data-parallel-rank", rank.encode("latin-1"))]))


def test_a_trace_that_is_too_long_is_left_out() -> None:
    """It changes no answer, so the request goes on."""
    long = "v" * (TRACE_CHARS + 1)
    assert engine_headers(Headers({"traceparent": TRACE, "tracestate": long})) == {
        "traceparent": TRACE
    }
