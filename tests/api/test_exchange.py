"""Every way in which a request may end, and that it is settled once whichever it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from lorabay.accounts.callers import Caller
from lorabay.accounts.usage.records import UsageRecord
from lorabay.api.auth import ANONYMOUS
from lorabay.api.exchange import UNREAD_S, Exchange
from lorabay.api.measuring import request_metrics
from lorabay.api.measuring.request_metrics import RequestMetrics
from lorabay.catalog.registry.registry import Registry
from lorabay.catalog.versions import Version
from lorabay.errors import (
    EngineUnavailable,
    InvalidRequest,
    ModelNotFound,
    RateLimited,
    WeightsRefused,
)
from lorabay.serving.engine import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    MESSAGES,
    RESPONSES,
    TOKENIZE,
    Answer,
    AnswerStream,
    Body,
    Call,
    Meter,
    StepTokens,
    Usage,
)
from lorabay.serving.turns.flows import Flow, cost
from lorabay.serving.turns.turn_gate import Bounds, TurnGate
from tests.api.conftest import FINANCE, FINANCE_BEFORE, SHOP, Api, client_of, make_app, parts_over
from tests.api.connection import Connection
from tests.fake_engine import FakeEngine, echo
from tests.fake_models import FakeModels
from tests.fake_stream import FakeStream, words
from tests.fake_weights import FakeWeights
from tests.slots import enough_slots, few_slots
from tests.versions import BASE_NAMES, make_model
from tests.virtual_time import VirtualTimeLoop, quiet

TENANTS = Caller("k", tenant="shop-team")
DEAD = EngineUnavailable("the engine stopped")
ANNOUNCED, DELTA = b"event: response.created\n\n", b"event: response.output_text.delta\n\n"

Reply = Callable[[Body], Awaitable[Answer | AnswerStream]]


async def forever() -> None:
    await asyncio.Event().wait()


def failing(failure: Exception) -> Reply:
    """Return an engine's reply that fails."""

    async def reply(body: Body) -> Answer | AnswerStream:
        raise failure

    return reply


def streaming(*steps: bytes | Exception | None, stubborn: bool = False) -> Reply:
    """Return a reply that streams `steps`: events, failures, and None for one that never comes."""

    async def events() -> AsyncGenerator[bytes, None]:
        for step in steps:
            if isinstance(step, Exception):
                raise step
            if step is None:
                await forever()
            else:
                yield step

    async def reply(body: Body) -> Answer | AnswerStream:
        return Stubborn(events()) if stubborn else FakeStream(events())

    return reply


class Stubborn(FakeStream):
    """A stream that cannot be closed."""

    async def aclose(self) -> None:
        raise RuntimeError("cannot close")


async def without_a_token(body: Body) -> Answer | AnswerStream:
    return Answer(b"{}", Usage(prompt_tokens=3))


async def never(body: Body) -> Answer | AnswerStream:
    await forever()
    raise AssertionError


@dataclass(frozen=True)
class Way:
    """One way out: how the engine and the client behave, and the facts that must remain.

    `client` stays, leaves, or is cut off by a shutdown, the latter two after `messages`. `proved`
    and `over` are how often the quarantine hears that the version answered and that it ended.
    """

    reply: Reply
    code: int
    proved: int = 0
    over: int = 1
    call: Call = CHAT
    model: str = "finance"
    client: str = "stays"
    messages: int = 0


WAYS = {
    "a whole answer": Way(echo, 200, proved=1),
    "an answer without a token": Way(without_a_token, 200),
    "an answer of the base": Way(echo, 200, over=0, model="tiny"),
    "an answer of the tokeniser": Way(echo, 200, over=0, call=TOKENIZE),
    "a stream to its end": Way(streaming(b"1", b"2"), 200, proved=1),
    "a stream without an event": Way(streaming(), 200),
    "a stream that cannot be closed": Way(streaming(b"1", stubborn=True), 200, proved=1),
    "a stream of typed events": Way(streaming(ANNOUNCED, DELTA), 200, proved=1, call=RESPONSES),
    "a request that is refused": Way(failing(InvalidRequest("no")), 400, over=0),
    "an engine that dies before its answer": Way(failing(DEAD), 503),
    "an engine that dies before the first event": Way(streaming(DEAD), 503),
    "an engine that dies in the stream": Way(streaming(b"1", DEAD), 503, proved=1),
    "an engine that dies after the announcement": Way(
        streaming(ANNOUNCED, DEAD), 503, call=RESPONSES
    ),
    "a bug": Way(failing(KeyError("x")), 500),
    "a bug in the stream": Way(streaming(b"1", KeyError("x")), 500, proved=1),
    "a client that leaves before the answer": Way(never, 499, client="leaves"),
    "a client that leaves before the first event": Way(streaming(None), 499, client="leaves"),
    "a client that leaves the stream": Way(
        streaming(b"1", None), 499, proved=1, client="leaves", messages=2
    ),
    "a shutdown before the answer": Way(never, 499, client="is cut off"),
    "a shutdown in the stream": Way(
        streaming(b"1", None), 499, proved=1, client="is cut off", messages=2
    ),
}


@pytest.mark.parametrize("name", WAYS)
async def test_however_a_request_ends_it_is_settled_once(api: Api, name: str) -> None:
    """The lease is free, the quarantine heard the end once, and one request is recorded."""
    way = WAYS[name]
    api.engine.reply = way.reply
    await go(api, way)

    adapter = "__base__" if way.model == "tiny" else way.model
    assert api.codes(adapter, way.call.name) == {str(way.code): 1}
    assert api.count("lorabay_request_seconds_count", adapter=adapter, endpoint=way.call.name) == (
        1
    )
    assert api.weights.notes.count(("answered", FINANCE)) == way.proved
    assert api.weights.notes.count(("ended", FINANCE)) == way.over
    assert api.at_rest()


ENDINGS = {
    "a whole answer": "done",
    "a stream to its end": "done",
    "a request that is refused": "error",
    "an engine that dies in the stream": "error",
    "a bug in the stream": "error",
    "a client that leaves before the answer": "left",
    "a client that leaves the stream": "left",
    "a shutdown before the answer": "cut",
    "a shutdown in the stream": "cut",
}


class Records:
    """Keeps usage in a list."""

    waiting = 0

    def __init__(self) -> None:
        self.kept: list[UsageRecord] = []

    def record(self, usage: UsageRecord) -> None:
        self.kept.append(usage)

    def flush(self, timeout_s: float) -> bool:
        return True

    def stop(self, timeout_s: float) -> None:
        """Do nothing."""


@pytest.mark.parametrize("name", WAYS)
async def test_however_a_request_ends_its_usage_is_recorded_once(
    registry: Registry, name: str
) -> None:
    """With the caller, the version, what the metrics count, and how it ended."""
    way, usage = WAYS[name], Records()
    registry.set_live(FINANCE)
    parts = parts_over(registry, usage=usage)
    app = make_app(parts)
    api = Api(app, parts.engine, registry, parts.weights, parts.metrics, client_of(app))  # type: ignore[arg-type]
    api.engine.reply = way.reply
    await go(api, way)

    [record] = usage.kept
    assert (record.key, record.call, record.code) == ("anonymous", way.call.name, way.code)
    assert record.ended == ENDINGS.get(name, "done" if way.code == 200 else record.ended)
    if way.model == "finance":
        assert (record.adapter, record.version) == ("finance", FINANCE.digest[:12])
    else:
        assert (record.adapter, record.version) == ("__base__", "")
    adapter = record.adapter
    assert record.prompt_tokens == api.count("lorabay_prompt_tokens_total", adapter=adapter)
    assert record.generated_tokens == api.count("lorabay_generation_tokens_total", adapter=adapter)


async def go(api: Api, way: Way) -> None:
    """Take one way from its first byte to its end."""
    connection = Connection(api.app, way.call.path, {"content-type": "application/json"})
    connection.send(f'{{"model": "{way.model}"}}'.encode())
    if way.client != "stays":
        while not api.engine.asked:
            await asyncio.sleep(0)
        for _ in range(way.messages):
            await connection.message()

    if way.client == "leaves":
        connection.leave()
    elif way.client == "is cut off":
        connection.task.cancel()
    with suppress(asyncio.CancelledError, KeyError, RuntimeError):
        await connection.ended()


async def test_a_stream_is_recorded_with_its_usage_however_it_ends(api: Api) -> None:
    """Tokens that the engine has counted are counted here too, also when nobody took them all."""
    for expected, way in enumerate(("a stream to its end", "a client that leaves the stream"), 1):
        api.engine.asked.clear()
        api.engine.reply = WAYS[way].reply
        await go(api, WAYS[way])
        assert api.count("lorabay_prompt_tokens_total", adapter="finance") == 5 * expected


LEFT = ("a client that leaves before the answer", "a shutdown before the answer", "a bug")


@pytest.mark.parametrize("name", LEFT)
async def test_an_answer_that_nobody_got_is_recorded_with_what_it_cost(api: Api, name: str) -> None:
    """The engine's count up to the end, whoever ended it."""
    api.engine.spent = Usage(prompt_tokens=7, generation_tokens=2)
    api.engine.reply = WAYS[name].reply
    await go(api, WAYS[name])
    assert api.count("lorabay_prompt_tokens_total", adapter="finance") == 7
    assert api.count("lorabay_generation_tokens_total", adapter="finance") == 2


async def test_what_was_computed_before_a_refusal_is_recorded(api: Api) -> None:
    """Bug: the first prompts of a batch were free if a later one passed a limit."""
    api.engine.spent = Usage(prompt_tokens=7, generation_tokens=2)
    api.engine.reply = failing(RateLimited("a later prompt is one too many"))
    await go(api, Way(api.engine.reply, 429))
    assert api.count("lorabay_prompt_tokens_total", adapter="finance") == 7
    assert api.count("lorabay_generation_tokens_total", adapter="finance") == 2


@pytest.mark.parametrize("name", ["a request that is refused", "an answer of the tokeniser"])
async def test_what_computes_nothing_costs_nothing(api: Api, name: str) -> None:
    """Neither a refusal nor the tokeniser spends tokens."""
    api.engine.spent = Usage(prompt_tokens=7)
    api.engine.reply = WAYS[name].reply if WAYS[name].call is CHAT else without_a_token
    await go(api, WAYS[name])
    assert api.count("lorabay_generation_tokens_total", adapter="finance") == 0


ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
WORD = b'data: {"choices":[{"index":0,"delta":{"content":"Good"}}]}\n\n'
USED = b'data: {"choices":[],"usage":{"prompt_tokens":5}}\n\n'
DONE = b"data: [DONE]\n\n"
STARTED, PIECE = b"event: message_start\n\n", b"event: content_block_delta\n\n"

STREAMS: dict[Call, list[bytes]] = {
    CHAT: [ROLE, WORD, WORD, USED, DONE],
    COMPLETIONS: [WORD, WORD, USED, DONE],
    RESPONSES: [ANNOUNCED, DELTA, DELTA, b"event: response.completed\n\n"],
    MESSAGES: [STARTED, PIECE, PIECE, b"event: message_delta\n\n", b"event: message_stop\n\n"],
}


@pytest.mark.parametrize("call", STREAMS, ids=lambda call: call.name)
async def test_only_tokens_are_measured(
    api: Api, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two tokens, a second apart, are one time to the first and one gap, on every call: what comes
    before, between and behind them is neither.
    """
    now = 0.0
    clock = SimpleNamespace(perf_counter=lambda: now)
    monkeypatch.setattr(request_metrics, "time", clock)

    async def events() -> AsyncGenerator[bytes, None]:
        nonlocal now
        for event in STREAMS[call]:
            now += 1
            yield event

    async def reply(body: Body) -> Answer | AnswerStream:
        return FakeStream(events())

    api.engine.reply = reply
    await api.http.post(call.path, json={"model": "finance"})
    first = 1 + next(n for n, event in enumerate(STREAMS[call]) if event in {WORD, DELTA, PIECE})
    labels = {"adapter": "finance"}
    assert api.count("lorabay_time_to_first_token_seconds_sum", **labels) == first
    assert api.count("lorabay_inter_token_seconds_count", **labels) == 1
    assert api.count("lorabay_inter_token_seconds_sum", **labels) == 1


class Refusing(FakeWeights):
    """Weights of which one version's are refused; its name may then fall back to `former`."""

    def __init__(self, registry: Registry, former: Version | None) -> None:
        super().__init__()
        self._registry = registry
        self._former = former

    async def ensure(self, version: Version) -> None:
        await super().ensure(version)
        if version == FINANCE:
            if self._former is not None:
                self._registry.set_live(self._former)
            raise WeightsRefused("finance")


@pytest.mark.parametrize("former", [FINANCE_BEFORE, None])
async def test_the_lease_follows_a_name_that_falls_back(api: Api, former: Version | None) -> None:
    """With a former version the request is answered by it; without one it is a 404, settled."""
    weights = Refusing(api.registry, former)
    app = make_app(parts_over(api.registry, weights=weights, metrics=api.metrics))
    connection = Connection(app, CHAT.path, {"content-type": "application/json"})
    connection.send(b'{"model": "finance"}')
    await connection.ended()

    after = [("ensure", former), ("answered", former), ("ended", former)] if former else []
    assert weights.notes == [("ensure", FINANCE), *after]
    assert api.codes("finance") == {"200" if former else "404": 1}
    assert api.at_rest()


async def test_what_falls_back_takes_the_turn_of_what_it_falls_back_to(api: Api) -> None:
    """The refused version keeps neither slot nor weights, and costs its tenant nothing."""
    weights = Refusing(api.registry, FINANCE_BEFORE)
    slots = few_slots(1, timeout_s=60.0, drain_after_s=60.0)
    parts = parts_over(api.registry, weights=weights, turns=slots, metrics=api.metrics)
    with RequestMetrics(api.metrics, CHAT) as measured:
        async with Exchange(CHAT, TENANTS, {"model": "finance"}, parts, measured) as exchange:
            await exchange.run("r-1")
            assert weights.holds.versions() == {FINANCE_BEFORE}
            assert slots.running == 1
    used = measured.usage
    assert used is not None
    assert slots._queue.used(Flow(TENANTS.tenant, "finance")) == cost(
        used.prompt_tokens, used.generation_tokens, cached_tokens=used.cached_tokens
    )
    assert slots.running == 0
    assert not weights.holds.versions()


async def test_what_was_refused_before_waits_for_no_turn(api: Api) -> None:
    """The client has its 404 at once, however many wait."""
    weights = Refusing(api.registry, None)
    slots = few_slots(1, timeout_s=60.0, drain_after_s=60.0)
    weights.refused.add(FINANCE)
    parts = parts_over(api.registry, weights=weights, turns=slots, metrics=api.metrics)
    await slots.take(SHOP)
    with RequestMetrics(api.metrics, CHAT) as measured:
        async with Exchange(CHAT, ANONYMOUS, {"model": "finance"}, parts, measured) as exchange:
            with pytest.raises(WeightsRefused):
                await asyncio.wait_for(exchange.run("r-1"), 1.0)


def exchange_over(api: Api, measured: RequestMetrics) -> Exchange:
    parts = parts_over(api.registry, engine=api.engine, weights=api.weights)
    return Exchange(CHAT, ANONYMOUS, {"model": "finance"}, parts, measured)


async def test_an_exchange_keeps_its_version_when_the_name_moves_on(api: Api) -> None:
    """The lease, the headers and what the engine is asked stay with the version of the start."""
    with RequestMetrics(api.metrics, CHAT) as measured:
        async with exchange_over(api, measured) as exchange:
            api.registry.set_live(FINANCE_BEFORE)
            await exchange.run("r-1")
            assert exchange.headers["x-adapter-version"] == FINANCE.digest[:12]
            assert api.registry.leases(FINANCE) == 1
    assert api.engine.asked[0][2] == FINANCE
    assert api.at_rest()


@pytest.mark.parametrize("failure", [None, InvalidRequest("no"), DEAD])
async def test_an_adapter_without_a_slot_waits_for_its_turn(
    api: Api, failure: Exception | None
) -> None:
    """However the request before it ends; while it waits it holds no weights, and loads none."""
    may_end = asyncio.Event()

    async def reply(body: Body) -> Answer | AnswerStream:
        await may_end.wait()
        if failure is not None and body["model"] == "finance":
            raise failure
        return await echo(body)

    api.engine.reply = reply
    slots = few_slots(1, timeout_s=60.0, drain_after_s=60.0)
    parts = parts_over(api.registry, engine=api.engine, weights=api.weights, turns=slots)

    async def ask(name: str) -> None:
        measured = RequestMetrics(api.metrics, CHAT)
        with measured, suppress(InvalidRequest, EngineUnavailable):
            async with Exchange(CHAT, ANONYMOUS, {"model": name}, parts, measured) as exchange:
                await exchange.run("r-1")

    first, second = (asyncio.create_task(ask(name)) for name in ("finance", "shop"))
    await quiet()
    assert [version for _, _, version, *_ in api.engine.asked] == [FINANCE]
    assert api.weights.notes == [("ensure", FINANCE)]
    assert api.weights.holds.versions() == {FINANCE}
    may_end.set()
    await asyncio.gather(first, second)
    assert [version for _, _, version, *_ in api.engine.asked] == [FINANCE, SHOP]
    assert api.weights.notes.count(("ensure", SHOP)) == 1
    assert slots.running == 0
    assert api.at_rest()


def test_a_stream_that_nobody_reads_keeps_no_slot(api: Api) -> None:
    """The next adapter is let in although the exchange goes on; while events flow it waits."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(check_that_reading_keeps_a_slot(api))


async def check_that_reading_keeps_a_slot(api: Api) -> None:
    slots = few_slots(1, timeout_s=60.0, drain_after_s=60.0)
    parts = parts_over(api.registry, turns=slots, metrics=api.metrics)
    with RequestMetrics(api.metrics, CHAT) as measured:
        async with Exchange(CHAT, ANONYMOUS, {"model": "finance"}, parts, measured) as exchange:
            await exchange.run("r-1")
            waiting = asyncio.create_task(slots.take(SHOP))
            for _ in range(3):
                exchange.note_event(DELTA)
                await asyncio.sleep(0.9 * UNREAD_S)
            assert not waiting.done()
            await asyncio.sleep(0.2 * UNREAD_S)
            assert waiting.done()


@pytest.mark.parametrize("call", [CHAT, EMBEDDINGS])
async def test_whoever_computes_with_an_adapter_needs_a_slot(api: Api, call: Call) -> None:
    """To generate, or to make vectors."""
    slots = few_slots(1, timeout_s=0.1, drain_after_s=60.0)
    parts = parts_over(api.registry, turns=slots, metrics=api.metrics)
    await slots.take(SHOP)
    with RequestMetrics(api.metrics, call) as measured, pytest.raises(EngineUnavailable):
        async with Exchange(call, ANONYMOUS, {"model": "finance"}, parts, measured) as exchange:
            await exchange.run("r-1")


async def test_the_base_needs_no_slot(api: Api) -> None:
    """Nor does a call that computes nothing with an adapter."""
    slots = few_slots(1, timeout_s=0.1, drain_after_s=60.0)
    parts = parts_over(api.registry, turns=slots, metrics=api.metrics)
    await slots.take(SHOP)
    for call, model in ((CHAT, BASE_NAMES[0]), (TOKENIZE, "finance")):
        with RequestMetrics(api.metrics, call) as measured:
            async with Exchange(call, ANONYMOUS, {"model": model}, parts, measured) as exchange:
                await exchange.run("r-1")


async def test_the_base_needs_a_place_in_the_engine(api: Api) -> None:
    """As adapters do; what computes nothing needs none."""
    turns = TurnGate(8, Bounds(0.1, running=1), drain_after_s=60.0)
    parts = parts_over(api.registry, turns=turns, metrics=api.metrics)
    await turns.take(SHOP)

    async def ask(call: Call, model: str) -> None:
        with RequestMetrics(api.metrics, call) as measured:
            async with Exchange(call, ANONYMOUS, {"model": model}, parts, measured) as exchange:
                await exchange.run("r-1")

    await ask(TOKENIZE, "finance")
    for model in (BASE_NAMES[0], "finance"):
        with pytest.raises(EngineUnavailable, match="the engine is busy"):
            await ask(CHAT, model)


async def test_the_next_prompt_may_go_when_this_one_is_read(api: Api) -> None:
    """The engine tells, and long before the answer has ended; whoever goes first is marked."""
    turns = TurnGate(8, Bounds(60.0, unread=1), drain_after_s=60.0, reads=lambda: StepTokens(0, 0))
    meters: list[Meter] = []

    class Engine(FakeEngine):
        async def run(self, *arguments: Any, meter: Meter | None = None, **options: Any) -> Any:
            assert meter is not None
            meters.append(meter)
            return await super().run(*arguments, meter=meter, **options)

    parts = parts_over(api.registry, engine=Engine(never), turns=turns, metrics=api.metrics)

    async def ask() -> None:
        with RequestMetrics(api.metrics, CHAT) as measured:
            async with Exchange(CHAT, TENANTS, {"model": "finance"}, parts, measured) as exchange:
                await exchange.run("r-1")

    asking = [asyncio.create_task(ask()) for _ in range(2)]
    await quiet()
    assert len(meters) == 1
    meters[0].was_read()
    await quiet()
    assert [meter.goes_first for meter in meters] == [True, False]
    for task in asking:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert (turns.running, turns.waiting) == (0, 0)


async def test_others_are_read_while_weights_are_loaded(api: Api) -> None:
    """Weights that are in the engine take no moment."""
    turns = TurnGate(8, Bounds(60.0, unread=1), drain_after_s=60.0, reads=lambda: StepTokens(0, 0))
    loaded = asyncio.Event()

    class Loading(FakeWeights):
        async def ensure(self, version: Version) -> None:
            await super().ensure(version)
            if version == FINANCE:
                await loaded.wait()

    engine = FakeEngine(never)
    parts = parts_over(
        api.registry, engine=engine, weights=Loading(), turns=turns, metrics=api.metrics
    )

    async def ask(model: str) -> None:
        with RequestMetrics(api.metrics, CHAT) as measured:
            async with Exchange(CHAT, TENANTS, {"model": model}, parts, measured) as exchange:
                await exchange.run("r-1")

    asking = [asyncio.create_task(ask(model)) for model in ("finance", "shop", "shop")]
    await quiet()
    assert [version for _, _, version, _ in engine.asked] == [SHOP]
    for task in asking:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tenant_is_charged_what_the_engine_counted(api: Api, stream: bool) -> None:
    """In place of what was guessed, and also if the client leaves before the end."""
    turns = enough_slots()
    parts = parts_over(api.registry, engine=api.engine, turns=turns, metrics=api.metrics)
    body = {"model": "finance", "max_tokens": 200, "stream": stream}
    with RequestMetrics(api.metrics, CHAT) as measured:
        async with Exchange(CHAT, TENANTS, body, parts, measured) as exchange:
            await exchange.run("r-1")
    used = measured.usage
    assert used is not None
    charged = turns._queue.used(Flow(TENANTS.tenant, "finance"))
    assert charged == cost(
        used.prompt_tokens, used.generation_tokens, cached_tokens=used.cached_tokens
    )


async def test_a_tenants_requests_have_its_salt(api: Api) -> None:
    """Whatever its client sent; others have what they sent, and so has what computes nothing."""
    parts = parts_over(api.registry, engine=api.engine, weights=api.weights, metrics=api.metrics)

    async def salt(call: Call, caller: Caller, **body: object) -> object:
        with RequestMetrics(api.metrics, call) as measured:
            asked = {"model": "finance", **body}
            async with Exchange(call, caller, asked, parts, measured) as exchange:
                await exchange.run("r-1")
        return api.engine.asked[-1][1].get("cache_salt")

    own = await salt(CHAT, TENANTS)
    assert own == await salt(EMBEDDINGS, TENANTS)
    assert await salt(CHAT, TENANTS, cache_salt="mine") not in (None, "mine", own)
    assert await salt(CHAT, ANONYMOUS, cache_salt="mine") == "mine"
    assert await salt(CHAT, ANONYMOUS) is None
    assert await salt(TOKENIZE, TENANTS) is None


async def test_an_exchange_knows_who_asks_for_which_model(api: Api) -> None:
    """Caller and model are those of the request, before anything has run."""
    exchange = exchange_over(api, RequestMetrics(api.metrics, CHAT))
    assert (exchange.call, exchange.caller, exchange.model) == (CHAT, ANONYMOUS, "finance")


async def test_an_unknown_model_takes_no_lease(api: Api) -> None:
    """Entering fails, and nothing is left to settle."""
    api.registry.remove("finance")
    with pytest.raises(ModelNotFound), RequestMetrics(api.metrics, CHAT) as measured:
        await exchange_over(api, measured).__aenter__()
    assert api.at_rest()


async def test_the_first_event_proves_the_weights_once(api: Api) -> None:
    """Further events say nothing new of the version."""
    api.engine.reply = streaming(b"1", b"2", b"3")
    response = await api.http.post(CHAT.path, json={"model": "finance"})
    assert response.content == b"123"
    assert api.weights.notes == [("ensure", FINANCE), ("answered", FINANCE), ("ended", FINANCE)]


async def test_events_are_those_of_the_engine(api: Api) -> None:
    """The exchange measures events and changes none."""
    api.engine.reply = streaming(*[event async for event in words("finance")])
    response = await api.http.post(CHAT.path, json={"model": "finance"})
    assert response.content == b"".join([event async for event in words("finance")])
    assert api.count("lorabay_time_to_first_token_seconds_count", adapter="finance") == 1


BANK = make_model("bank", "d")


async def test_a_whole_model_answers_from_its_own_engine(registry: Registry) -> None:
    """The adapters' engine never hears of it, also of what is only tokenised."""
    registry.set_live(BANK)
    models = FakeModels(FakeEngine())
    parts = parts_over(registry, models=models)
    async with client_of(make_app(parts)) as http:
        answer = await http.post(CHAT.path, json={"model": "bank", "messages": []})
        tokens = await http.post(TOKENIZE.path, json={"model": "bank", "prompt": "Hi"})
    assert (answer.status_code, tokens.status_code) == (200, 200)
    assert answer.headers["x-adapter"] == "bank"
    assert models.engine is not None
    assert [version for _, _, version, _ in models.engine.asked] == [BANK, BANK]
    assert parts.engine.asked == []  # type: ignore[attr-defined]


async def test_the_adapters_engine_may_be_down_meanwhile(registry: Registry) -> None:
    """And the reverse: each kind's requests meet the state of their own engine alone."""
    for version in (BANK, FINANCE):
        registry.set_live(version)
    models = FakeModels(FakeEngine())
    parts = parts_over(registry, models=models, engine=FakeEngine(up=False))

    async def statuses() -> list[int]:
        async with client_of(make_app(parts)) as http:
            return [
                (await http.post(CHAT.path, json={"model": name, "messages": []})).status_code
                for name in ("bank", "finance")
            ]

    assert await statuses() == [200, 503]
    models.engine = None
    parts.engine.up = True  # type: ignore[attr-defined]
    assert await statuses() == [503, 200]
