"""vLLM's own spans of requests, made by the server's tracer instead of one of vLLM's.

vLLM's option `otlp_traces_endpoint` has it make a second exporter, another with each new engine,
in memory that nobody watches. What makes a span of a request needs none of that: it takes the
tracer that OpenTelemetry has in this process. It is turned on here, for requests that carry the
headers of a trace; a trial of an adapter, say, carries none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vllm.tracing.utils import TRACE_HEADERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm.v1.engine.async_llm import AsyncLLM

HERE = "traced by the server"
"""In place of an address: vLLM passes no headers on to its engine without one."""


def trace_requests(llm: AsyncLLM) -> None:
    """Have vLLM make a span of each request of `llm` that finishes and carries a trace."""
    processor = llm.output_processor
    make_span = processor.do_tracing

    def make_wanted_span(output: Any, request: Any, statistics: Any) -> None:
        # Without statistics (`disable_log_stats`) there are no times to tell, and vLLM's own
        # method would end the engine.
        if output.trace_headers and statistics is not None and request.stats is not None:
            make_span(output, request, statistics)

    processor.do_tracing = make_wanted_span
    processor.tracing_enabled = True
    llm.observability_config.otlp_traces_endpoint = HERE


def without_trace(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return headers that carry no trace: for a beam search, which is a request for each token."""
    return {name: value for name, value in (headers or {}).items() if name not in TRACE_HEADERS}
