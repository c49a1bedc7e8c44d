"""Every response carries an id that logs and the engine know as well."""

from __future__ import annotations

import re

import pytest
from starlette.types import Message, Receive, Scope, Send

from lorabay.api.request_ids import RequestIds
from tests.api.conftest import Api

SANE = ("a", "chat-7f.3_b:2", "0123456789abcdef" * 8)
INSANE = ("", " ", "a b", "a/b", "ü", "a" * 129, "a\tb", 'a"b', "a;b")


@pytest.mark.parametrize("sent", SANE)
async def test_a_clients_own_id_is_kept(api: Api, sent: str) -> None:
    """A client's own id comes back on the response, and the engine gets the same."""
    response = await api.http.post(
        "/v1/completions", json={"model": "tiny"}, headers={"x-request-id": sent}
    )
    assert response.headers.get_list("x-request-id") == [sent]
    assert api.engine.asked[0][3] == sent


@pytest.mark.parametrize("sent", INSANE)
async def test_an_id_that_would_spoil_logs_is_replaced(api: Api, sent: str) -> None:
    """An id that is too long or holds unusual characters is replaced by ours."""
    headers = {b"x-request-id": sent.encode()}
    response = await api.http.post("/v1/completions", json={"model": "tiny"}, headers=headers)
    assert response.status_code == 200
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])
    assert api.engine.asked[0][3] == response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/health"), ("GET", "/nowhere"), ("GET", "/tokenize"), ("POST", "/tokenize")],
)
async def test_every_response_has_one(api: Api, method: str, path: str) -> None:
    """Answers and errors of every kind carry an id, and no two the same."""
    ids = [(await api.http.request(method, path)).headers["x-request-id"] for _ in range(2)]
    assert len(set(ids)) == 2


async def test_a_bug_has_one_too(api: Api) -> None:
    """The response to an unexpected failure carries the id under which the log has its details."""

    async def reply(body: object) -> None:
        raise ZeroDivisionError

    api.engine.reply = reply  # type: ignore[assignment]
    response = await api.http.post(
        "/tokenize", json={"model": "tiny"}, headers={"x-request-id": "mine"}
    )
    assert response.status_code == 500
    assert response.headers.get_list("x-request-id") == ["mine"]


async def test_other_protocols_pass_untouched() -> None:
    """Start and end of the server and websockets have no request id."""
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await send({"type": "lifespan.startup.complete"})

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    await RequestIds(app)({"type": "lifespan"}, receive, send)
    assert seen == [{"type": "lifespan"}]
    assert sent == [{"type": "lifespan.startup.complete"}]
