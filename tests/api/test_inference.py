"""The life of a request: which version answers, what the response says, and what is left behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator

import pytest

from lorabay.catalog.registry.registry import Registry
from lorabay.catalog.versions import Version
from lorabay.errors import (
    ContextLengthExceeded,
    EngineUnavailable,
    InvalidRequest,
    LorabayError,
    ModelNotFound,
    WeightsRefused,
)
from lorabay.serving.engine import (
    CALLS,
    EMBEDDINGS,
    RERANK,
    Answer,
    AnswerStream,
    Body,
    Call,
    Usage,
)
from tests.api.conftest import (
    FINANCE,
    FINANCE_BEFORE,
    SHOP,
    Api,
    client_of,
    make_app,
    parts_over,
)
from tests.api.connection import Connection
from tests.fake_stream import USAGE, FakeStream, words
from tests.fake_weights import FakeWeights

CHAT = "/v1/chat/completions"
JSON = {"content-type": "application/json"}

MODEL_FORMS: dict[str, Version | None] = {
    "finance": FINANCE,
    "shop": SHOP,
    FINANCE.id: FINANCE,
    f"finance@{FINANCE.digest}": FINANCE,
    FINANCE_BEFORE.id: FINANCE_BEFORE,
    "tiny:finance": FINANCE,
    "org/tiny:finance": FINANCE,
    f"tiny:{FINANCE_BEFORE.id}": FINANCE_BEFORE,
    "tiny": None,
    "org/tiny": None,
}


@pytest.mark.parametrize("model", MODEL_FORMS)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
async def test_every_form_of_model_reaches_its_version_on_every_call(
    api: Api, call: Call, model: str
) -> None:
    """The engine is asked once, for the right call and version, with the client's own body."""
    body = {"model": model, "unknown": [1, {"a": None}]}
    response = await api.http.post(call.path, json=body, headers={"x-request-id": "r-1"})
    assert response.status_code == 200
    assert api.engine.asked == [(call, body, MODEL_FORMS[model], "r-1")]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODEL_FORMS)
async def test_the_answer_echoes_model_and_names_the_version(
    api: Api, model: str, stream: bool
) -> None:
    """The answer echoes the requested `model`; headers name adapter and version."""
    response = await api.http.post(CHAT, json={"model": model, "stream": stream})
    assert json.dumps({"model": model})[1:-1] in response.text
    version = MODEL_FORMS[model]
    assert response.headers["x-adapter"] == (version.adapter if version else "__base__")
    assert response.headers.get("x-adapter-version") == (version.digest[:12] if version else None)


async def test_a_whole_answer_is_the_engines_json(api: Api) -> None:
    """The engine's answer arrives unchanged, as JSON."""
    response = await api.http.post(CHAT, json={"model": "finance", "text": "你好"})
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"model": "finance", "text": "你好"}


UNKNOWN_MODELS = (
    "nobody",
    "",
    "Finance",
    "finance ",
    "finance@",
    "finance@aaaa",
    "finance@" + "f" * 12,
    "finance@" + "A" * 12,
    "finance@" + "c" * 12,
    "tiny:",
    "tiny:nobody",
    "tiny:tiny",
    "tiny@" + "a" * 12,
    "finance:tiny",
    "../finance",
    "finance\n",
    "😀",
    "x" * 50_000,
)


@pytest.mark.parametrize("model", UNKNOWN_MODELS, ids=lambda model: ascii(model[:20]))
async def test_an_unknown_model_is_a_404_that_lists_no_other(api: Api, model: str) -> None:
    """Unknown names and versions are refused alike, and the message names no other model."""
    response = await api.http.post(CHAT, json={"model": model})
    assert response.status_code == 404
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "shop" not in response.text
    assert len(error["message"]) < 300
    assert FINANCE.digest[:12] not in response.text.replace(model, "")
    assert api.engine.asked == []
    assert api.codes("__unknown__") == {"404": 1}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["finance", "tiny"])
async def test_a_request_is_counted_once_with_its_tokens(
    api: Api, model: str, stream: bool
) -> None:
    """One finished request is recorded with the engine's token counts, and nothing runs on."""
    await api.http.post(CHAT, json={"model": model, "stream": stream})
    adapter = "__base__" if model == "tiny" else model
    assert api.codes(adapter) == {"200": 1}
    assert api.count("lorabay_prompt_tokens_total", adapter=adapter) == 5
    assert api.count("lorabay_generation_tokens_total", adapter=adapter) == 3
    assert api.count("lorabay_request_seconds_count", adapter=adapter, endpoint="chat") == 1
    assert api.at_rest()


@pytest.mark.parametrize("stream", [False, True])
async def test_while_it_runs_a_request_holds_its_version(api: Api, stream: bool) -> None:
    """Between its start and its last event a request counts as running and holds a lease."""
    seen = []

    def look() -> None:
        seen.append(
            (api.registry.leases(FINANCE), api.count("lorabay_requests_running", adapter="finance"))
        )

    async def looking(model: str) -> AsyncGenerator[bytes, None]:
        async for event in words(model):
            look()
            yield event

    async def reply(body: Body) -> Answer | AnswerStream:
        look()
        return FakeStream(looking("finance")) if stream else Answer(b"{}", USAGE)

    api.engine.reply = reply
    await api.http.post(CHAT, json={"model": "finance"})
    assert set(seen) == {(1, 1)}
    assert len(seen) == (4 if stream else 1)
    look()
    assert seen[-1] == (0, 0)


FAILURES: tuple[tuple[Exception, int, str], ...] = (
    (ContextLengthExceeded("too long", param="messages"), 400, "context_length_exceeded"),
    (ModelNotFound("finance"), 404, "model_not_found"),
    (EngineUnavailable("restarting", retry_after=3), 503, "engine_unavailable"),
    (LorabayError("no luck"), 500, "internal_error"),
    (RuntimeError("secret detail in /work"), 500, "internal_error"),
)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("failure", "status", "code"), FAILURES)
async def test_a_failure_of_the_engine_keeps_its_status(
    api: Api, failure: Exception, status: int, code: str, stream: bool
) -> None:
    """A failure before the answer becomes the response; it is recorded, the lease freed."""

    async def reply(body: Body) -> Answer | AnswerStream:
        raise failure

    api.engine.reply = reply
    response = await api.http.post(CHAT, json={"model": "finance", "stream": stream})
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert "secret" not in response.text
    assert response.headers["x-request-id"]
    assert api.codes("finance") == {str(status): 1}
    assert api.at_rest()


async def test_an_engine_that_is_not_up_is_a_503_with_retry_after(api: Api) -> None:
    """Clients are told when to come back, in whole seconds; the engine is not asked."""
    api.engine.up = False
    response = await api.http.post(CHAT, json={"model": "finance"})
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "engine_unavailable"
    assert response.headers["retry-after"] == "5"
    assert api.engine.asked == []
    assert api.at_rest()


async def test_a_bad_request_is_told_so_while_the_engine_is_down(api: Api) -> None:
    """A client's own mistake is not hidden behind 503."""
    api.engine.up = False
    assert (await api.http.post(CHAT, json={"model": "nobody"})).status_code == 404


async def test_a_client_that_leaves_while_it_waits_cancels_the_work(api: Api) -> None:
    """The engine's work is cancelled, the lease freed, and the request recorded as 499."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def reply(body: Body) -> Answer | AnswerStream:
        begun.set()
        try:
            return await asyncio.Event().wait()  # type: ignore[return-value]
        finally:
            ended.set()

    api.engine.reply = reply
    connection = Connection(api.app, CHAT, JSON)
    connection.send(b'{"model": "finance"}')
    await begun.wait()
    assert not api.at_rest()
    connection.leave()
    await connection.ended()
    assert ended.is_set()
    assert api.codes("finance") == {"499": 1}
    assert api.at_rest()


async def test_a_client_that_leaves_while_it_sends_is_no_bug(api: Api) -> None:
    """A body that never ends is recorded as 499, not as a failure of the server."""
    connection = Connection(api.app, CHAT, JSON)
    connection.send(b'{"model": ', more=True)
    connection.leave()
    await connection.ended()
    assert api.codes("__unknown__") == {"499": 1}
    assert api.at_rest()


async def test_a_server_that_shuts_down_records_what_it_cut_off(api: Api) -> None:
    """Cancelling the handler frees the lease and counts the request."""
    begun = asyncio.Event()

    async def reply(body: Body) -> Answer | AnswerStream:
        begun.set()
        return await asyncio.Event().wait()  # type: ignore[return-value]

    api.engine.reply = reply
    connection = Connection(api.app, CHAT, JSON)
    connection.send(b'{"model": "finance"}')
    await begun.wait()
    connection.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connection.ended()
    assert api.codes("finance") == {"499": 1}
    assert api.at_rest()


async def test_many_requests_at_once_get_their_own_answers(api: Api) -> None:
    """Requests that run side by side do not mix, and leave nothing behind."""
    models = ["finance", "shop", "tiny", FINANCE_BEFORE.id] * 25
    bodies = [{"model": model, "number": number} for number, model in enumerate(models)]
    responses = await asyncio.gather(*(api.http.post(CHAT, json=body) for body in bodies))
    assert [response.json() for response in responses] == bodies
    assert len({response.headers["x-request-id"] for response in responses}) == len(bodies)
    assert api.codes("finance") == {"200": 50}
    assert api.at_rest()


@pytest.mark.parametrize("stream", [False, True])
async def test_weights_are_ensured_before_and_told_after(api: Api, stream: bool) -> None:
    """Weights are ensured before the engine is asked, and proved by the first answer."""
    for model in ("finance", "tiny"):
        connection = Connection(api.app, CHAT, JSON)
        connection.send(json.dumps({"model": model, "stream": stream}).encode())
        while connection.code is None:
            await connection.message()
        connection.leave()
        await connection.ended()
    assert api.weights.notes == [("ensure", FINANCE), ("answered", FINANCE), ("ended", FINANCE)]


@pytest.mark.parametrize("path", ["/tokenize", "/detokenize"])
async def test_what_needs_no_weights_asks_for_none(api: Api, path: str) -> None:
    """Calls of the tokeniser load no version, prove none and make none a suspect."""
    api.weights.failure = EngineUnavailable("still loading", retry_after=1)
    response = await api.http.post(path, json={"model": "finance"})
    assert (response.status_code, response.headers["x-adapter"]) == (200, "finance")
    assert api.weights.notes == []


@pytest.mark.parametrize("path", ["/tokenize", "/detokenize"])
async def test_the_tokeniser_knows_no_refused_adapter(api: Api, path: str) -> None:
    """What the other calls answer with 404 has no tokeniser either."""
    api.weights.refused.add(FINANCE)
    response = await api.http.post(path, json={"model": "finance"})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")
    assert api.at_rest()


async def notes_of(api: Api, path: str, body: bytes) -> list[tuple[str, Version]]:
    connection = Connection(api.app, path, JSON)
    connection.send(body)
    await connection.ended()
    return api.weights.notes


@pytest.mark.parametrize(
    ("failure", "ran"),
    [(EngineUnavailable("the engine stopped"), True), (InvalidRequest("too long"), False)],
)
async def test_a_request_that_failed_in_the_engine_is_over(
    api: Api, failure: Exception, ran: bool
) -> None:
    """A failure in the engine ends the generation; a refused request never began one."""

    async def fail(body: Body) -> Answer | AnswerStream:
        raise failure

    api.engine.reply = fail
    expected = [("ensure", FINANCE), *([("ended", FINANCE)] if ran else [])]
    assert await notes_of(api, CHAT, b'{"model": "finance"}') == expected


async def test_an_answer_without_a_token_proves_nothing(api: Api) -> None:
    """An answer without a token does not prove the weights."""

    async def empty(body: Body) -> Answer | AnswerStream:
        return Answer(b"{}", Usage(prompt_tokens=3))

    api.engine.reply = empty
    assert await notes_of(api, CHAT, b'{"model": "finance"}') == [
        ("ensure", FINANCE),
        ("ended", FINANCE),
    ]


@pytest.mark.parametrize("generated", [False, True])
async def test_a_response_that_was_only_announced_proves_nothing(api: Api, generated: bool) -> None:
    """`response.created`, sent before anything is computed, does not prove the weights."""
    delta = [b"event: response.output_text.delta\ndata: {}\n\n"] if generated else []

    async def events() -> AsyncGenerator[bytes, None]:
        for event in (b"event: response.created\ndata: {}\n\n", *delta, *delta):
            yield event
        raise EngineUnavailable("the engine stopped")

    async def stream(body: Body) -> Answer | AnswerStream:
        return FakeStream(events())

    api.engine.reply = stream
    notes = await notes_of(api, "/v1/responses", b'{"model": "finance", "stream": true}')
    assert notes == [
        ("ensure", FINANCE),
        *([("answered", FINANCE)] if generated else []),
        ("ended", FINANCE),
    ]


async def test_weights_that_cannot_be_had_stop_the_request(api: Api) -> None:
    """When loading fails the engine is not asked, and nothing counts as answered."""
    api.weights.failure = EngineUnavailable("still loading", retry_after=1)
    connection = Connection(api.app, CHAT, JSON)
    connection.send(b'{"model": "finance"}')
    await connection.ended()
    assert connection.code == 503
    assert api.engine.asked == []
    assert api.weights.notes == [("ensure", FINANCE)]
    assert api.at_rest()


class Fickle(FakeWeights):
    """Weights of which one version is refused; its name then goes back to the former one."""

    def __init__(self, registry: Registry, *, falls_back: bool) -> None:
        super().__init__()
        self._registry = registry
        self._falls_back = falls_back

    async def ensure(self, version: Version) -> None:
        if version != FINANCE:
            return
        if self._falls_back:
            self._registry.set_live(FINANCE_BEFORE)
        raise WeightsRefused("finance")


@pytest.mark.parametrize("falls_back", [True, False])
async def test_a_request_follows_its_name_back_to_a_former_version(
    api: Api, falls_back: bool
) -> None:
    """A request whose version is refused is answered by the former one, if there is one."""
    weights = Fickle(api.registry, falls_back=falls_back)
    app = make_app(parts_over(api.registry, weights=weights))
    async with client_of(app) as http:
        response = await http.post(CHAT, json={"model": "finance"})
        by_version = await http.post(CHAT, json={"model": FINANCE.id})
    assert response.status_code == (200 if falls_back else 404)
    assert response.headers.get("x-adapter-version") == (
        FINANCE_BEFORE.digest[:12] if falls_back else None
    )
    assert by_version.status_code == 404
    assert not any(status.leases for status in api.registry.snapshot())


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
async def test_a_call_that_the_base_does_not_answer_is_told_so(api: Api, call: Call) -> None:
    """A 404 with its own code says what the base does and which paths it answers; nothing is read,
    leased or loaded.
    """
    others = [other for other in CALLS if other.pools is not call.pools]
    api.engine.calls = tuple(others)
    answer = await api.http.post(call.path, content=b"not even JSON", headers=JSON)
    error = answer.json()["error"]
    assert answer.status_code == 404
    assert error["code"] == "call_not_served"
    assert ("pooling model" in error["message"]) is not call.pools
    assert all(other.path in error["message"] for other in others)
    assert not api.engine.asked
    assert api.codes("__unknown__", call.name) == {"404": 1}
    assert api.at_rest()


@pytest.mark.parametrize("path", RERANK.paths)
async def test_every_path_of_a_call_means_the_same(api: Api, path: str) -> None:
    """Aliases count under the call's own name."""
    answer = await api.http.post(path, json={"model": "finance", "query": "a", "documents": ["b"]})
    assert answer.status_code == 200
    assert [call for call, *_ in api.engine.asked] == [RERANK]
    assert api.codes("finance", "rerank") == {"200": 1}


async def test_vectors_may_be_bytes(api: Api) -> None:
    """The answer arrives as what the engine says that it is, with the headers to read it by."""

    async def reply(body: Body) -> Answer:
        headers = {"metadata": "{}"}
        return Answer(b"\x00\xff", Usage(5, 0), "application/octet-stream", headers)

    api.engine.reply = reply
    answer = await api.http.post(EMBEDDINGS.path, json={"model": "finance", "input": "a"})
    assert answer.content == b"\x00\xff"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert (answer.headers["metadata"], answer.headers["x-adapter"]) == ("{}", "finance")


async def test_a_vector_proves_that_the_version_computes(api: Api) -> None:
    """It is no token, and counts the prompt alone."""

    async def reply(body: Body) -> Answer:
        return Answer(b"{}", Usage(5, 0))

    api.engine.reply = reply
    await api.http.post(EMBEDDINGS.path, json={"model": "finance", "input": "a"})
    assert ("answered", FINANCE) in api.weights.notes
    assert api.count("lorabay_prompt_tokens_total", adapter="finance") == 5
    assert api.count("lorabay_generation_tokens_total", adapter="finance") == 0
