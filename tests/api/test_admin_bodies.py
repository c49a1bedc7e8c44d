"""Bodies of the admin side."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, Depends
from pydantic import BaseModel

from lorabay.api.admin_bodies import MAX_BODY_BYTES, body_of, documented
from lorabay.catalog.registry.registry import Registry
from lorabay.errors import InvalidApiKey
from tests.api.conftest import client_of, make_app, parts_over


class Greeting(BaseModel):
    name: str = "nobody"


def stranger() -> None:
    raise InvalidApiKey("who are you")


def app_for(registry: Registry, who: Any) -> Any:
    router = APIRouter()
    body = body_of(Greeting, Depends(who))

    @router.post("/greet", openapi_extra=documented(Greeting))
    async def greet(body: Any = body) -> dict[str, str]:
        return {"hello": body.name}

    return make_app(parts_over(registry), routers=[router])


@pytest.mark.parametrize(
    ("content", "status", "hello"),
    [
        (b"", 200, "nobody"),
        (b'{"name": "ada"}', 200, "ada"),
        (b'{"name": 7}', 400, None),
        (b"[]", 400, None),
        (b"x" * (MAX_BODY_BYTES + 1), 413, None),
    ],
)
async def test_a_body_is_read_within_limits(
    registry: Registry, content: bytes, status: int, hello: str | None
) -> None:
    """None at all means all defaults."""
    async with client_of(app_for(registry, lambda: None)) as http:
        headers = {"content-type": "application/json"}
        response = await http.post("/greet", content=content, headers=headers)
    assert response.status_code == status
    assert response.json().get("hello") == hello


async def test_a_strangers_body_is_not_read(registry: Registry) -> None:
    """The key comes first, whatever the body is."""
    async with client_of(app_for(registry, stranger)) as http:
        assert (await http.post("/greet", content=b"\xff" * 500_000)).status_code == 401
