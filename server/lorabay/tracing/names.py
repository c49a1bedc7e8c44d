"""Names of what a span tells: OpenTelemetry's where it has one, and lorabay's own.

The conventions for generative models still move: this is the one place that a change of theirs
reaches. vLLM's span has names of its own.
"""

from __future__ import annotations

TRACE_HEADERS = ("traceparent", "tracestate")
"""What W3C's Trace Context adds to a request."""

SERVICE = "lorabay"
"""What the service is called, unless the operator calls it otherwise."""

METHOD = "http.request.method"
ROUTE = "http.route"
STATUS = "http.response.status_code"
ERROR = "error.type"

PROVIDER = "gen_ai.provider.name"
OPERATION = "gen_ai.operation.name"
ASKED_MODEL = "gen_ai.request.model"
STREAMED = "gen_ai.request.stream"
ANSWERING_MODEL = "gen_ai.response.model"
FIRST_TOKEN_S = "gen_ai.response.time_to_first_chunk"  # noqa: S105 - no password
PROMPT_TOKENS = "gen_ai.usage.input_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
GENERATED_TOKENS = "gen_ai.usage.output_tokens"

REQUEST_ID = "lorabay.request_id"
KEY = "lorabay.key"
TENANT = "lorabay.tenant"
ADAPTER = "lorabay.adapter"
VERSION = "lorabay.version"
LOAD_S = "lorabay.load_s"
QUEUE_S = "lorabay.queue_s"
SLOT_S = "lorabay.slot_s"
ENGINE_QUEUE_S = "lorabay.engine_queue_s"
ENDED = "lorabay.ended"
