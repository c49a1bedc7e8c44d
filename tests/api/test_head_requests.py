"""HEAD, wherever GET is answered."""

from __future__ import annotations

import pytest

from lorabay.api.front import front_of
from lorabay.api.hosts import AllowedHosts
from lorabay.api.starting import StartingApp
from lorabay.catalog.registry.registry import Registry
from tests.api.conftest import FINANCE, client_of, make_app, parts_over
from tests.api.test_auth import OPEN

FRONT = front_of(AllowedHosts((), open_to_all=True))


@pytest.mark.parametrize("path", [*OPEN, "/v1/models", "/v1/models/finance"])
async def test_head_is_get_without_its_body(registry: Registry, path: str) -> None:
    """Status and headers are those of a GET."""
    registry.set_live(FINANCE)
    async with client_of(make_app(parts_over(registry), middleware=FRONT)) as http:
        got, head = await http.get(path), await http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    if path != "/metrics":
        assert head.headers["content-length"] == str(len(got.content))


async def test_head_fails_as_get_does(registry: Registry) -> None:
    """A path that is not there, one that takes POST alone, and a server that is not ready."""
    app = make_app(parts_over(registry), declared_set_loaded=lambda: False, middleware=FRONT)
    async with client_of(app) as http:
        answers = [await http.head(path) for path in ("/nowhere", "/v1/chat/completions", "/ready")]
    assert [answer.status_code for answer in answers] == [404, 405, 503]
    assert [answer.content for answer in answers] == [b""] * 3


async def test_a_starting_server_answers_head() -> None:
    """A probe may use it from the first moment."""
    async with client_of(StartingApp(FRONT)) as http:  # type: ignore[arg-type]
        assert (await http.head("/health")).status_code == 200
        assert (await http.head("/ready")).status_code == 503
