"""Pages of somebody else cannot act with the session of who looks at them."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from lorabay.api.console.same_origin import MARK, SameOrigin, is_same_origin
from lorabay.errors import PermissionDenied

OWN = {MARK: "1", "host": "bay.example:8000"}


async def passes(method: str, headers: dict[str, str]) -> bool:
    """Return whether a call reaches the application."""
    reached = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(scope)

    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    nothing: Any = None
    try:
        await SameOrigin(app)(
            {"type": "http", "method": method, "headers": pairs}, nothing, nothing
        )
    except PermissionDenied:
        return False
    return bool(reached)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_a_call_without_the_mark_is_refused(method: str) -> None:
    """A form or a picture of another page cannot set it."""
    origin = {"host": "a", "origin": "http://a", "sec-fetch-site": "same-origin"}
    assert not await passes(method, origin)
    assert not await passes(method, origin | {MARK: "0"})


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "http://bay.example:8000"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"origin": "http://bay.example:8000"}, True),
        ({"origin": "http://bay.example"}, False),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://["}, False),
        ({"origin": "http://a]b"}, False),
        ({}, False),
    ],
)
async def test_what_changes_something_comes_from_the_page(
    headers: dict[str, str], expected: bool
) -> None:
    """As the browser says it; what only reads need not say so."""
    assert is_same_origin(Headers(OWN | headers)) == expected
    assert await passes("POST", OWN | headers) == expected
    assert await passes("GET", OWN | headers)
