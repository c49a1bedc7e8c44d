"""The answers of a server whose own application cannot be built yet."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.responses import PlainTextResponse

from lorabay.api.starting import StartingApp


@pytest.fixture
def app() -> StartingApp:
    return StartingApp()


@pytest.fixture
async def http(app: StartingApp) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        yield client


async def test_a_starting_server_is_alive(http: httpx.AsyncClient) -> None:
    """A probe of liveness does not end a server that downloads its base."""
    response = await http.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/ready"),
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/health"),
        ("DELETE", "/admin/versions/1"),
        ("GET", "/"),
    ],
)
async def test_everything_else_has_to_wait(http: httpx.AsyncClient, method: str, path: str) -> None:
    """Every other request is refused like one to an engine that is not up, whoever asks."""
    response = await http.request(method, path)
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "engine_unavailable"
    assert int(response.headers["retry-after"]) > 0
    assert response.headers["x-request-id"]


async def test_the_servers_application_takes_over(
    app: StartingApp, http: httpx.AsyncClient
) -> None:
    """From the hand-over on, every request is answered by it."""
    app.hand_over(PlainTextResponse("the server's own"))
    assert (await http.get("/ready")).text == "the server's own"
