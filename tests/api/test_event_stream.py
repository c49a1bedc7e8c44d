"""Streamed answers: what arrives when, failures early and late, and clients that leave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator

import pytest

from lorabay.api.event_stream import COMMENT
from lorabay.errors import EngineUnavailable, LorabayError
from lorabay.serving.engine import Answer, AnswerStream, Body
from tests.api.conftest import FINANCE, Api, make_app, parts_over
from tests.api.connection import PATIENCE_S, Connection
from tests.fake_stream import FakeStream, words

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
JSON = {"content-type": "application/json"}


def reply_with(api: Api, events: AsyncGenerator[bytes, None]) -> FakeStream:
    """Have the engine answer with these events."""
    stream = FakeStream(events)

    async def reply(body: Body) -> Answer | AnswerStream:
        return stream

    api.engine.reply = reply
    return stream


def connect(api: Api, path: str = CHAT) -> Connection:
    connection = Connection(api.app, path, JSON)
    connection.send(b'{"model": "finance"}')
    return connection


async def nothing_but(failure: Exception | None) -> AsyncGenerator[bytes, None]:
    if failure is not None:
        raise failure
    events: tuple[bytes, ...] = ()
    for event in events:
        yield event


async def test_events_arrive_as_the_engine_made_them(api: Api) -> None:
    """The body is the engine's events in order, under the content type of event streams."""
    stream = reply_with(api, words("finance"))
    response = await api.http.post(CHAT, json={"model": "finance"})
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.content == b"".join([event async for event in words("finance")])
    assert stream.closed == 1


async def test_each_event_is_sent_before_the_next_is_made(api: Api) -> None:
    """An event reaches the client while the engine still works on the next one."""
    steps: asyncio.Queue[bytes] = asyncio.Queue()

    async def events() -> AsyncGenerator[bytes, None]:
        while event := await steps.get():
            yield event

    reply_with(api, events())
    connection = connect(api)
    steps.put_nowait(b"data: 1\n\n")
    assert (await connection.message())["type"] == "http.response.start"
    assert (await connection.message())["body"] == b"data: 1\n\n"
    steps.put_nowait(b"data: 2\n\n")
    assert (await connection.message())["body"] == b"data: 2\n\n"
    steps.put_nowait(b"")
    await connection.ended()
    assert api.codes("finance") == {"200": 1}


@pytest.mark.parametrize(
    ("failure", "status"), [(EngineUnavailable("gone", retry_after=2), 503), (KeyError("x"), 500)]
)
async def test_a_failure_before_the_first_event_has_its_own_status(
    api: Api, failure: Exception, status: int
) -> None:
    """Until an event was sent, a failure is an ordinary error response."""

    stream = reply_with(api, nothing_but(failure))
    response = await api.http.post(CHAT, json={"model": "finance"}, headers={"x-request-id": "r-1"})
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"] == "r-1"
    assert response.json()["error"]["code"] == (
        "engine_unavailable" if status == 503 else "internal_error"
    )
    assert response.headers.get("retry-after") == ("2" if status == 503 else None)
    assert api.codes("finance") == {str(status): 1}
    assert api.count("lorabay_time_to_first_token_seconds_count", adapter="finance") == 0
    assert stream.closed == 1
    assert api.at_rest()


async def failing(failure: Exception) -> AsyncGenerator[bytes, None]:
    yield b'data: {"word": "Good"}\n\n'
    raise failure


async def test_a_later_failure_becomes_an_error_event_and_the_end(api: Api) -> None:
    """The envelope is sent as an event, then [DONE]; the metrics hold the true status."""
    stream = reply_with(api, failing(EngineUnavailable("the engine stopped")))
    response = await api.http.post(CHAT, json={"model": "finance"})
    assert response.status_code == 200
    first, error, done, rest = response.text.split("\n\n")
    assert first == 'data: {"word": "Good"}'
    assert json.loads(error.removeprefix("data: ")) == {
        "error": {
            "message": "the engine stopped",
            "type": "server_error",
            "param": None,
            "code": "engine_unavailable",
        }
    }
    assert (done, rest) == ("data: [DONE]", "")
    assert api.codes("finance") == {"503": 1}
    assert stream.closed == 1
    assert api.at_rest()


async def test_a_later_failure_of_a_response_is_an_error_event_of_its_protocol(api: Api) -> None:
    """The Responses API has typed events and no [DONE]."""
    reply_with(api, failing(LorabayError("no luck")))
    response = await api.http.post(RESPONSES, json={"model": "finance"})
    _, error, rest = response.text.split("\n\n")
    name, data = error.split("\n")
    assert name == "event: error"
    assert json.loads(data.removeprefix("data: ")) == {
        "type": "error",
        "message": "no luck",
        "param": None,
        "code": "internal_error",
    }
    assert rest == ""


async def test_a_later_failure_of_a_message_is_an_error_event_of_its_protocol(api: Api) -> None:
    """Anthropic's clients read the type of the event and the envelope inside it."""
    reply_with(api, failing(EngineUnavailable("the engine stopped")))
    response = await api.http.post(MESSAGES, json={"model": "finance"})
    _, error, rest = response.text.split("\n\n")
    name, data = error.split("\n")
    assert name == "event: error"
    problem = json.loads(data.removeprefix("data: "))
    assert problem["type"] == "error"
    assert problem["error"]["type"] == "overloaded_error"
    assert problem["error"]["message"] == "the engine stopped"
    assert rest == ""


async def test_a_bug_in_the_middle_of_a_stream_shows_no_internals(api: Api) -> None:
    """An unexpected exception ends the stream as an internal error."""
    reply_with(api, failing(RuntimeError("secret detail")))
    response = await api.http.post(CHAT, json={"model": "finance"})
    assert '"internal_error"' in response.text
    assert "secret" not in response.text
    assert api.codes("finance") == {"500": 1}


@pytest.mark.parametrize("sent", [0, 1])
async def test_a_client_that_leaves_stops_the_generation(api: Api, sent: int) -> None:
    """Whether or not it has seen an event, the stream is closed and 499 recorded."""
    stopped = asyncio.Event()

    async def events() -> AsyncGenerator[bytes, None]:
        try:
            for _ in range(sent):
                yield b"data: 1\n\n"
            await asyncio.Event().wait()
        finally:
            stopped.set()

    stream = reply_with(api, events())
    connection = connect(api)
    for _ in range(2 * sent):
        await connection.message()
    while not api.count("lorabay_requests_running", adapter="finance"):
        await asyncio.sleep(0)
    connection.leave()
    await connection.ended()
    assert stopped.is_set() or not sent
    assert stream.closed >= 1
    assert api.codes("finance") == {"499": 1}
    assert api.at_rest()


async def test_a_client_that_takes_nothing_more_stops_the_generation(api: Api) -> None:
    """A connection that closes while an event is being sent counts as left."""
    stream = reply_with(api, words("finance"))
    stuck = asyncio.Event()
    messages: list[dict[str, object]] = [{"type": "http.request", "body": b'{"model": "finance"}'}]

    async def receive() -> dict[str, object]:
        if messages:
            return messages.pop()
        await stuck.wait()
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        stuck.set()
        await asyncio.Event().wait()

    scope = {
        "type": "http",
        "method": "POST",
        "path": CHAT,
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    await asyncio.wait_for(api.app(scope, receive, send), PATIENCE_S)
    assert stream.closed == 1
    assert api.codes("finance") == {"499": 1}
    assert api.at_rest()


async def test_a_server_that_shuts_down_closes_its_streams(api: Api) -> None:
    """Cancelling the handler closes the stream, frees the lease and records the request."""

    async def events() -> AsyncGenerator[bytes, None]:
        yield b"data: 1\n\n"
        await asyncio.Event().wait()

    stream = reply_with(api, events())
    connection = connect(api)
    await connection.message()
    connection.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connection.ended()
    assert stream.closed == 1
    assert api.codes("finance") == {"499": 1}
    assert api.at_rest()


async def test_a_stream_that_cannot_be_closed_still_frees_its_lease(api: Api) -> None:
    """A failure while closing the engine's stream does not keep the version leased."""

    async def events() -> AsyncGenerator[bytes, None]:
        yield b"data: 1\n\n"

    class Stubborn(FakeStream):
        async def aclose(self) -> None:
            raise RuntimeError("cannot close")

    async def reply(body: Body) -> Answer | AnswerStream:
        return Stubborn(events())

    api.engine.reply = reply
    await api.http.post(CHAT, json={"model": "finance"})
    assert api.codes("finance") == {"200": 1}
    assert api.at_rest()


async def test_an_empty_stream_is_an_empty_answer(api: Api) -> None:
    """An engine without an event answers 200 with an empty body."""

    reply_with(api, nothing_but(None))
    response = await api.http.post(CHAT, json={"model": "finance"})
    assert (response.status_code, response.content) == (200, b"")
    assert api.at_rest()


def connect_with_comments(api: Api) -> Connection:
    """Connect to a server that does not let a stream be silent."""
    parts = parts_over(api.registry, engine=api.engine, weights=api.weights, metrics=api.metrics)
    connection = Connection(make_app(parts, stream_comment_s=1e-3), CHAT, JSON)
    connection.send(b'{"model": "finance"}')
    return connection


async def test_a_stream_that_waits_is_kept_by_comments(api: Api) -> None:
    """The status and comments go out before the first event and between two; no comment counts as a
    token, and none comes after the end.
    """
    steps: asyncio.Queue[bytes] = asyncio.Queue()

    async def events() -> AsyncGenerator[bytes, None]:
        while event := await steps.get():
            yield event

    reply_with(api, events())
    connection = connect_with_comments(api)
    assert (await connection.message())["status"] == 200
    for event in (b"data: 1\n\n", b"data: 2\n\n"):
        for _ in range(2):
            assert (await connection.message())["body"] == COMMENT
        assert api.weights.notes.count(("answered", FINANCE)) == int(event != b"data: 1\n\n")
        steps.put_nowait(event)
        while (await connection.message())["body"] != event:
            pass
    steps.put_nowait(b"")
    await connection.ended()
    assert connection.body.replace(COMMENT, b"") == b"data: 1\n\ndata: 2\n\n"
    assert api.codes("finance") == {"200": 1}
    assert api.at_rest()


async def test_a_failure_after_a_comment_is_an_event(api: Api) -> None:
    """The status has gone out with the comment; what is recorded is the failure's own."""
    waiting = asyncio.Event()

    async def events() -> AsyncGenerator[bytes, None]:
        await waiting.wait()
        async for event in nothing_but(EngineUnavailable("the engine stopped")):
            yield event

    reply_with(api, events())
    connection = connect_with_comments(api)
    while COMMENT not in connection.body:
        await connection.message()
    waiting.set()
    await connection.ended()
    assert b'"engine_unavailable"' in connection.body
    assert connection.body.endswith(b"data: [DONE]\n\n")
    assert api.codes("finance") == {"503": 1}
    assert api.at_rest()


async def test_a_client_that_leaves_a_waiting_stream_ends_it(api: Api) -> None:
    """Comments keep nobody's generation going."""

    async def events() -> AsyncGenerator[bytes, None]:
        await asyncio.Event().wait()
        yield b""

    stream = reply_with(api, events())
    connection = connect_with_comments(api)
    while COMMENT not in connection.body:
        await connection.message()
    connection.leave()
    await connection.ended()
    assert stream.closed == 1
    assert api.codes("finance") == {"499": 1}
    assert api.at_rest()


async def test_a_failure_before_any_comment_has_its_own_status(api: Api) -> None:
    """Comments come only after a silence: what fails at once is an ordinary error."""
    reply_with(api, nothing_but(EngineUnavailable("gone", retry_after=2)))
    parts = parts_over(api.registry, engine=api.engine, weights=api.weights, metrics=api.metrics)
    connection = Connection(make_app(parts, stream_comment_s=60), CHAT, JSON)
    connection.send(b'{"model": "finance"}')
    await connection.ended()
    assert connection.code == 503
