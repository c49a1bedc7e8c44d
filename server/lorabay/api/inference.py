"""The OpenAI-compatible POST endpoints: the life of a request, from its key to its last byte.

One handler serves all of them; what differs between them lives in the engine. Knows nothing of vLLM
or of folders.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from lorabay.api.bodies import asked_model, read_body
from lorabay.api.disconnects import CLIENT_CLOSED_REQUEST, ClientGone, unless_disconnected
from lorabay.api.event_stream import EventStream
from lorabay.api.problems import as_error
from lorabay.api.request_metrics import Recording
from lorabay.errors import InvalidRequest, WeightsRefused
from lorabay.metrics import BASE_ADAPTER
from lorabay.serving.engine import Answer

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from lorabay.api.auth import Gate
    from lorabay.api.weights import Weights
    from lorabay.catalog.registry import Lease, Registry
    from lorabay.metrics import Metrics
    from lorabay.serving.engine import AnswerStream, Body, Endpoint, Engine

PATHS: Mapping[Endpoint, str] = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "responses": "/v1/responses",
    "tokenize": "/tokenize",
    "detokenize": "/detokenize",
}

GENERATING: frozenset[Endpoint] = frozenset({"chat", "completions", "responses"})
"""Where the engine computes with an adapter's weights; the others need only the tokeniser."""


class OpenAIEndpoints:
    """Answers the POST endpoints of one server."""

    def __init__(
        self,
        engine: Engine,
        registry: Registry,
        metrics: Metrics,
        gate: Gate,
        weights: Weights,
        *,
        max_body_bytes: int,
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._metrics = metrics
        self._gate = gate
        self._weights = weights
        self._max_body_bytes = max_body_bytes

    def handler(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[ASGIApp]]:
        """Give the route handler of one endpoint."""

        async def handle(request: Request) -> ASGIApp:
            recording = Recording(self._metrics, endpoint)
            try:
                return await self._answer(endpoint, request, recording)
            except (ClientGone, ClientDisconnect):
                recording.end(CLIENT_CLOSED_REQUEST)
                return Response(status_code=CLIENT_CLOSED_REQUEST)
            except asyncio.CancelledError:
                recording.end(CLIENT_CLOSED_REQUEST)
                raise
            except Exception as failure:
                recording.end(as_error(failure).status)
                raise

        return handle

    async def _answer(self, endpoint: Endpoint, request: Request, recording: Recording) -> ASGIApp:
        self._gate.check(request.headers)
        body = await read_body(request, self._max_body_bytes)
        lease = self._registry.acquire(asked_model(body))
        recording.begin(BASE_ADAPTER if lease.version is None else lease.version.adapter)
        return await self._answer_with(lease, endpoint, request, body, recording)

    async def _answer_with(
        self, lease: Lease, endpoint: Endpoint, request: Request, body: Body, recording: Recording
    ) -> ASGIApp:
        try:
            answer = await unless_disconnected(
                request.receive, self._run(endpoint, request, body, lease)
            )
        except WeightsRefused:
            lease.release()
            former = self._registry.acquire(asked_model(body))
            if former.version == lease.version:
                former.release()
                raise
            # The name has gone back to a version that can be served.
            return await self._answer_with(former, endpoint, request, body, recording)
        except BaseException:
            lease.release()
            raise
        return self._respond(endpoint, answer, lease, recording)

    async def _run(
        self, endpoint: Endpoint, request: Request, body: Body, lease: Lease
    ) -> Answer | AnswerStream:
        self._engine.check()
        if lease.version is not None:
            await self._weights.ensure(lease.version)
        try:
            return await self._engine.run(
                endpoint, body, lease.version, request_id=request.state.request_id
            )
        except InvalidRequest:
            raise  # the engine has computed nothing
        except BaseException:
            self._ended(endpoint, lease)
            raise

    def _respond(
        self, endpoint: Endpoint, answer: Answer | AnswerStream, lease: Lease, recording: Recording
    ) -> ASGIApp:
        headers = _adapter_headers(lease)
        if isinstance(answer, Answer):
            if answer.usage.generation_tokens:
                self._answered(endpoint, lease)
            self._ended(endpoint, lease)
            lease.release()
            recording.end(200, answer.usage)
            return Response(answer.content, media_type="application/json", headers=headers)

        def finish(code: int) -> None:
            self._ended(endpoint, lease)
            lease.release()
            recording.end(code, answer.usage)

        return EventStream(
            endpoint, answer, headers, recording, lambda: self._answered(endpoint, lease), finish
        )

    def _answered(self, endpoint: Endpoint, lease: Lease) -> None:
        if lease.version is not None and endpoint in GENERATING:
            self._weights.answered(lease.version)

    def _ended(self, endpoint: Endpoint, lease: Lease) -> None:
        if lease.version is not None and endpoint in GENERATING:
            self._weights.ended(lease.version)


def _adapter_headers(lease: Lease) -> dict[str, str]:
    if lease.version is None:
        return {"x-adapter": BASE_ADAPTER}
    return {"x-adapter": lease.version.adapter, "x-adapter-version": lease.version.spec.digest[:12]}
