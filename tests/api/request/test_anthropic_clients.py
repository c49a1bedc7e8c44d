"""Clients of Anthropic's API, as they are known."""

from __future__ import annotations

import anthropic
import pytest

from lorabay.api.request.anthropic_clients import VERSION_HEADER
from tests.api.conftest import Api

ANTHROPIC = {VERSION_HEADER: "2023-06-01"}


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/models"), ("POST", "/v1/messages")])
async def test_the_id_of_a_request_is_where_the_package_looks(
    api: Api, method: str, path: str
) -> None:
    """On answers and failures; other clients get the one header that they read."""
    ours = await api.http.request(method, path, headers=ANTHROPIC)
    assert ours.headers["request-id"] == ours.headers["x-request-id"]
    assert "request-id" not in (await api.http.request(method, path)).headers


def test_the_package_says_which_api_it_speaks() -> None:
    """The mark is a header of every request of its own."""
    with anthropic.Anthropic(base_url="http://server", api_key="unused") as client:
        assert VERSION_HEADER in client.default_headers
