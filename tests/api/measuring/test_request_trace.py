"""The trace of a request: one span, with what is known of it and without what its client wrote."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import CollectorRegistry

from lorabay.api.disconnects import ClientGone
from lorabay.api.measuring import request_trace
from lorabay.api.measuring.request_metrics import RequestMetrics
from lorabay.api.measuring.request_trace import RequestTrace, Wait, traced
from lorabay.catalog.registry.registry import Registry
from lorabay.errors import EngineUnavailable
from lorabay.metrics import Metrics
from lorabay.serving.engine import (
    CALLS,
    CHAT,
    Answer,
    AnswerStream,
    Body,
    Call,
    Usage,
)
from lorabay.serving.turns.turn_gate import Bounds, Turn, TurnGate
from lorabay.tracing.export import BoundedSpans
from lorabay.tracing.opentelemetry_tracer import OpenTelemetryTracer
from tests.api.conftest import FINANCE, SHOP, client_of, make_app, parts_over
from tests.fake_engine import FakeEngine, echo
from tests.fake_stream import FakeStream
from tests.fake_weights import FakeWeights
from tests.tracing.gate import Gate
from tests.tracing.memory import Memory

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "r-1"}
SECRET = "the patient is called Rumpelstiltskin"
TOKENS = 100
PATIENCE_S = 30.0


class TracingEngine(FakeEngine):
    """Makes a span of each request as vLLM does: at its end, by the headers that it got."""

    def __init__(self, memory: Memory) -> None:
        super().__init__(self._reply)
        self._memory = memory

    async def _reply(self, body: Body) -> Answer | AnswerStream:
        if not body.get("stream"):
            answer = await echo(body)
            self._make_span()
            return answer
        return FakeStream(self._events())

    async def _events(self) -> AsyncGenerator[bytes, None]:
        for number in range(TOKENS):
            yield f"data: {json.dumps({'choices': [{'delta': {'content': number}}]})}\n\n".encode()
        self._make_span()
        yield b"data: [DONE]\n\n"

    def _make_span(self) -> None:
        parent = TraceContextTextMapPropagator().extract(self.headers)
        self._memory.provider.get_tracer("vllm").start_span("llm_request", context=parent).end()


@pytest.fixture
def memory() -> Memory:
    return Memory()


def app_over(registry: Registry, memory: Memory, **others: Any) -> httpx.AsyncClient:
    """Return a client of an application that serves `finance` and is traced."""
    registry.set_live(FINANCE)
    tracer = OpenTelemetryTracer(memory.provider)
    parts = parts_over(registry, engine=TracingEngine(memory), tracer=tracer)
    return client_of(make_app(replace(parts, **others)))


def facts(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def chat(**fields: Any) -> Body:
    return {"model": "finance", "messages": [{"role": "user", "content": SECRET}], **fields}


async def test_a_streamed_request_is_one_trace_of_two_spans(
    registry: Registry, memory: Memory
) -> None:
    """A child of the client's span, and below it the engine's, however many tokens there are."""
    async with app_over(registry, memory) as http:
        await http.post(CHAT.path, json=chat(stream=True), headers=HEADERS)

    engines, server = memory.spans
    assert (server.name, engines.name) == ("POST /v1/chat/completions", "llm_request")
    assert server.context is not None
    assert server.parent is not None
    assert engines.parent is not None
    assert {f"{span.context.trace_id:032x}" for span in memory.spans if span.context} == {TRACE}
    assert f"{server.parent.span_id:016x}" == PARENT
    assert engines.parent.span_id == server.context.span_id
    assert server.events == ()


async def test_a_span_tells_who_asked_what_answered_and_what_it_cost(
    registry: Registry, memory: Memory
) -> None:
    """By the names of OpenTelemetry, and ours for what it has none."""
    async with app_over(registry, memory) as http:
        await http.post(CHAT.path, json=chat(stream=True), headers=HEADERS)

    told = facts(memory.spans[-1])
    assert told.pop("lorabay.load_s") >= 0
    assert told.pop("lorabay.queue_s") >= 0
    assert told == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "gen_ai.provider.name": "lorabay",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "finance",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": FINANCE.id,
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.output_tokens": 3,
        "lorabay.request_id": "r-1",
        "lorabay.key": told["lorabay.key"],
        "lorabay.tenant": "default",
        "lorabay.adapter": "finance",
        "lorabay.version": FINANCE.digest[:12],
        "lorabay.ended": "done",
    }


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
async def test_every_call_is_traced_and_tells_nothing_of_its_body(
    registry: Registry, memory: Memory, call: Call
) -> None:
    """Whatever becomes of it: it is answered, or refused with a message that repeats it."""
    body = chat(prompt=SECRET, input=SECRET, tools=SECRET, response_format=SECRET)
    async with app_over(registry, memory) as http:
        await http.post(call.path, json=body)
        await http.post(call.path, json=body | {"model": SECRET})
        await http.post(call.path, content=SECRET)

    servers = [span for span in memory.spans if span.name == f"POST {call.path}"]
    assert len(servers) == 3
    assert "Rumpelstiltskin" not in "".join(span.to_json() for span in memory.spans)


async def test_a_request_without_a_known_model_tells_who_asked_and_the_code(
    registry: Registry, memory: Memory
) -> None:
    """It is the client's fault, so the span has not failed."""
    async with app_over(registry, memory) as http:
        await http.post(CHAT.path, json=chat() | {"model": "nobody"})
    [span] = memory.spans
    told = facts(span)
    assert told["http.response.status_code"] == 404
    assert told["error.type"] == "model_not_found"
    assert told["lorabay.ended"] == "error"
    assert "lorabay.adapter" not in told
    assert span.status.status_code is StatusCode.UNSET


async def test_a_failure_of_the_server_is_one_of_the_span(
    registry: Registry, memory: Memory
) -> None:
    """With its public code, and the adapter that was asked for."""

    class Gone(FakeWeights):
        async def ensure(self, version: Any) -> None:
            raise EngineUnavailable(SECRET)

    async with app_over(registry, memory, weights=Gone()) as http:
        await http.post(CHAT.path, json=chat())
    [span] = memory.spans
    told = facts(span)
    assert told["http.response.status_code"] == 503
    assert told["error.type"] == "engine_unavailable"
    assert told["lorabay.adapter"] == "finance"
    assert told["lorabay.load_s"] >= 0
    assert told["lorabay.queue_s"] >= 0
    assert span.status.status_code is StatusCode.ERROR


async def test_requests_are_answered_while_no_collector_takes_their_spans(
    registry: Registry,
) -> None:
    """Some spans wait, and the others are dropped and counted; no request fails, and none waits."""
    registry.set_live(FINANCE)
    gate, counts = Gate(), Counter[str]()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(
        BoundedSpans(gate, lambda outcome, spans: counts.update({outcome: spans}), max_waiting=8)
    )
    app = make_app(parts_over(registry, tracer=OpenTelemetryTracer(provider)))
    async with client_of(app) as http:
        answers = [await http.post(CHAT.path, json=chat()) for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200}
    assert counts == {"dropped": 12}

    gate.open.set()
    provider.shutdown()
    assert counts == {"dropped": 12, "exported": 8}


async def test_a_wait_for_a_slot_is_told_apart(registry: Registry, memory: Memory) -> None:
    """From a wait for a place in the engine, of a request whose adapter has a slot."""
    for version in (FINANCE, SHOP):
        registry.set_live(version)
    gate = TurnGate(1, Bounds(PATIENCE_S, running=1), drain_after_s=0.0)
    tracer = OpenTelemetryTracer(memory.provider)
    app = make_app(parts_over(registry, turns=gate, tracer=tracer))

    async def ask_behind(turn: Turn, model: str) -> dict[str, Any]:
        async with client_of(app) as http, asyncio.TaskGroup() as tasks:
            request = tasks.create_task(http.post(CHAT.path, json=chat() | {"model": model}))
            while not gate.waiting:
                await asyncio.sleep(0)
            turn.end()
        assert request.result().status_code == 200
        return facts(memory.spans[-1])

    behind_others = await ask_behind(await gate.take(FINANCE), "finance")
    assert behind_others["lorabay.queue_s"] > 0
    assert "lorabay.slot_s" not in behind_others

    without_slot = await ask_behind(await gate.take(FINANCE), "shop")
    assert 0 < without_slot["lorabay.slot_s"] <= without_slot["lorabay.queue_s"]


async def test_probes_and_metrics_are_not_traced(registry: Registry, memory: Memory) -> None:
    """Balancers ask for them every second."""
    async with app_over(registry, memory) as http:
        for path in ("/health", "/ready", "/metrics", "/v1/models"):
            await http.get(path)
    assert memory.spans == ()


@pytest.mark.parametrize(
    ("failure", "status", "ended"),
    [
        (ClientGone(), 499, "left"),
        (asyncio.CancelledError(), 499, "cut"),
        (KeyError(), 500, "error"),
    ],
    ids=["left", "cut", "bug"],
)
def test_however_a_request_ends_its_span_does(
    memory: Memory, failure: BaseException, status: int, ended: str
) -> None:
    """Also by a client that leaves, by the server's end, and by a bug."""
    measured = RequestMetrics(Metrics(CollectorRegistry()), CHAT)
    tracer = OpenTelemetryTracer(memory.provider)
    with (
        pytest.raises(type(failure)),
        traced(tracer, CHAT, measured, request_id="r", headers={}),
    ):
        raise failure
    [span] = memory.spans
    assert facts(span)["http.response.status_code"] == status
    assert facts(span)["lorabay.ended"] == ended


def test_times_are_told_from_where_they_begin(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's queue from when it was asked, the first token from the request's arrival."""
    now = [100.0]
    monkeypatch.setattr(request_trace, "time", SimpleNamespace(monotonic=lambda: now[0]))
    span = OpenTelemetryTracer(memory.provider).begin("POST /", {}, {})
    trace = RequestTrace(span)
    with trace.waiting(Wait.LOAD):
        now[0] += 2
    with trace.waiting(Wait.TURN):
        now[0] += 3
    trace.asked()
    usage = Usage(1, 1, begun_at=now[0] + 4, first_token_at=now[0] + 5)
    trace.ran("finance", FINANCE, usage, streamed=True)
    trace.end(200, None)

    told = facts(memory.spans[0])
    assert told["lorabay.load_s"] == 2
    assert told["lorabay.queue_s"] == 3
    assert told["lorabay.engine_queue_s"] == 4
    assert told["gen_ai.response.time_to_first_chunk"] == 10
