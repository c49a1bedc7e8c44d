"""Paths that clients send by mistake, and what they are told."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from lorabay.api.wrong_paths import KNOWN, OTHER_SERVERS, SHOWN_CHARS, meant, no_such_path
from tests.api.conftest import Api

MEANT = {
    "//v1/chat/completions": "/v1/chat/completions",
    "/v1//chat/completions": "/v1/chat/completions",
    "/v1/chat/completions/": "/v1/chat/completions",
    "/v1/v1/chat/completions": "/v1/chat/completions",
    "/chat/completions": "/v1/chat/completions",
    "/api/v1/chat/completions": "/v1/chat/completions",
    "/openai/deployments/finance/chat/completions": "/v1/chat/completions",
    "/v1/engines/finance/completions": "/v1/completions",
    "/completions": "/v1/completions",
    "/responses": "/v1/responses",
    "/anthropic/v1/messages": "/v1/messages",
    "/messages/count_tokens": "/v1/messages/count_tokens",
    "/models": "/v1/models",
    "/v1/tokenize": "/tokenize",
    "/v1/health": "/health",
    "/api/chat": "/v1/chat/completions",
    "/api/tags/": "/v1/models",
    "/healthz": "/health",
}


@pytest.mark.parametrize("path", MEANT)
async def test_the_path_that_was_meant_is_named(api: Api, path: str) -> None:
    """The answer to a wrong path is a 404 with the right one, and never a redirect."""
    # With the host in front: two slashes alone would begin one.
    response = await api.http.post(f"http://server{path}", json={"model": "finance"})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (404, "not_found")
    assert f"`{path}`" in error["message"]
    assert f"did you mean `{MEANT[path]}`?" in error["message"]
    assert not api.engine.asked


@pytest.mark.parametrize("path", ["/", "/v1", "/favicon.ico", "/v1/files", "/x" * 5_000])
async def test_where_nothing_is_near_the_documentation_is_named(api: Api, path: str) -> None:
    """A path like no other is told in full, unless it is long."""
    response = await api.http.get(path)
    message = response.json()["error"]["message"]
    assert response.status_code == 404
    assert "/docs" in message
    assert len(message) < 2 * SHOWN_CHARS


async def test_a_wrong_method_is_told_with_the_right_one(api: Api) -> None:
    """Both stand in the message; the header has the right one, too."""
    response = await api.http.get("/v1/chat/completions")
    assert response.json()["error"]["message"] == "`/v1/chat/completions` takes POST, not GET"
    response = await api.http.post("/v1/models", json={})
    assert "takes GET" in response.json()["error"]["message"]


async def test_every_path_that_is_named_exists(api: Api) -> None:
    """No answer sends a client to another 404."""
    for path in {*KNOWN, *OTHER_SERVERS.values()}:
        assert (await api.http.get(path)).status_code != 404, path


@given(st.text(max_size=200))
def test_any_path_has_a_message(path: str) -> None:
    """Whatever a client asks for."""
    assert meant(path) in {None, *KNOWN, *OTHER_SERVERS.values()}
    assert len(no_such_path(path)) < 3 * SHOWN_CHARS
