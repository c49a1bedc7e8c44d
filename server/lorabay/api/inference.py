"""The calls over HTTP: the life of a request, from its key to its last byte.

All calls share one endpoint; they differ in the table of calls and in the engine. Knows nothing of
vLLM or of folders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lorabay.api.auth import check_endpoint, identify
from lorabay.api.disconnects import ClientGone, unless_disconnected
from lorabay.api.event_stream import send_events
from lorabay.api.exchange import Exchange
from lorabay.api.limits.limits import check_limits
from lorabay.api.measuring.request_metrics import RequestMetrics
from lorabay.api.measuring.request_trace import traced
from lorabay.api.request.allowed_tools import with_allowed_tools
from lorabay.api.request.body import read_body
from lorabay.api.request.clients import SESSION_HEADER
from lorabay.api.request.conversation import check_conversation
from lorabay.api.request.engine_headers import engine_headers, trace_headers
from lorabay.api.request.foreign_fields import check_fields
from lorabay.api.request.form import check_form
from lorabay.api.request.media_names import check_media_names
from lorabay.serving.engine import CALLS, Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

    from lorabay.accounts.callers import Caller
    from lorabay.api.auth import Gate
    from lorabay.api.limits.request_limits import RequestLimits
    from lorabay.api.parts import Parts
    from lorabay.api.routed import Routed
    from lorabay.serving.engine import Body, Call


def inference_routes(
    parts: Parts,
    gate: Gate,
    *,
    max_body_bytes: int,
    limits: RequestLimits,
    stream_comment_s: float,
) -> list[Route]:
    """Return the routes of each call; `openapi` describes them, as FastAPI does not see them."""
    return [
        Route(
            path,
            CallEndpoint(call, parts, gate, max_body_bytes, limits, stream_comment_s),
            methods=["POST"],
            include_in_schema=False,
        )
        for call in CALLS
        for path in call.paths
    ]


class CallEndpoint:
    """An ASGI application that answers one call."""

    def __init__(
        self,
        call: Call,
        parts: Parts,
        gate: Gate,
        max_body_bytes: int,
        limits: RequestLimits,
        stream_comment_s: float,
    ) -> None:
        self._call = call
        self._parts = parts
        self._gate = gate
        self._max_body_bytes = max_body_bytes
        self._limits = limits
        self._stream_comment_s = stream_comment_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; its failures are raised for `problems` to answer."""
        request = Request(scope, receive)
        try:
            with (
                RequestMetrics(self._parts.metrics, self._call) as measured,
                traced(
                    self._parts.tracer,
                    self._call,
                    measured,
                    request_id=request.state.request_id,
                    headers=trace_headers(request.headers),
                ) as trace,
            ):
                # The key comes first: a stranger's body is not read.
                caller = identify(self._gate, request)
                trace.identify(caller)
                check_endpoint(caller, self._call.name)
                self._parts.engine.check_call(self._call)
                body = await self._read(request)
                route = await self._route(body, caller)
                exchange = Exchange(
                    self._call,
                    caller,
                    body,
                    self._parts,
                    measured,
                    trace,
                    session=request.headers.get(SESSION_HEADER),
                    route=route,
                )
                async with exchange:
                    headers = trace.passed_on(engine_headers(request.headers))
                    response = await unless_disconnected(
                        receive, self._respond(exchange, request, headers, send)
                    )
        except ClientGone:
            return  # nobody is left to answer

        # Sent after the release: a slow client does not keep a version from leaving the engine.
        if response is not None:
            await response(scope, receive, send)

    async def _read(self, request: Request) -> Body:
        """Return the request's body, if it asks for no more than one request may."""
        body = await read_body(request, self._max_body_bytes, self._limits.max_json_values)
        check_limits(self._call, body, self._limits, context=self._parts.engine.max_model_len)
        check_form(self._call, body)
        check_media_names(body)
        check_fields(self._call, body)
        check_conversation(self._call, body)
        return with_allowed_tools(self._call, body)

    async def _route(self, body: Body, caller: Caller) -> Routed | None:
        """Return what answers in place of the `model` that the client wrote, if anything does."""
        parts = self._parts
        return await parts.auto.route(body, caller) or await parts.mixtures.route(body, caller)

    async def _respond(
        self, exchange: Exchange, request: Request, headers: Mapping[str, str], send: Send
    ) -> Response | None:
        """Run the exchange, whose engine reads `headers`.

        Return the response of a whole answer; send a streamed one, and return None. A stream is
        sent here because its version stays leased until the last event.
        """
        try:
            answer = await exchange.run(request.state.request_id, headers)
        finally:
            # For a failure, which `problems` answers.
            request.state.limit_headers = exchange.limit_headers
        if isinstance(answer, Answer):
            return Response(
                answer.content,
                media_type=answer.media_type,
                headers={**answer.headers, **exchange.headers},
            )
        await send_events(answer, exchange, send, comment_s=self._stream_comment_s)
        return None
