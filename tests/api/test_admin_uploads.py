"""`PUT /admin/adapters/{name}` over HTTP: a body that is passed on as it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from lorabay.api.admin_uploads import uploads_router
from lorabay.api.auth import ADMIN, KeyGate
from lorabay.api.keyring import Keyring
from lorabay.catalog.registry.registry import Registry
from lorabay.errors import AdapterRejected
from lorabay.reconcile.events import Actor
from lorabay.serving.uploads import Upload
from tests.api.conftest import client_of, make_app, parts_over
from tests.api.connection import Connection

KEY = {"authorization": "Bearer admin"}


class Desk:
    """An `Uploads` that notes what it is given."""

    def __init__(self) -> None:
        self.given: list[tuple[str, int | None, str]] = []
        self.pieces: list[bytes] = []
        self.seen: str | None = None
        self.refusal: Exception | None = None

    def describe(self) -> dict[str, Any]:
        return {"on": True, "most_bytes": 5, "reason": None}

    async def add(self, upload: Upload, who: Actor) -> dict[str, Any]:
        name = upload.name
        self.given.append((name, upload.size, who.kind))
        self.seen = upload.seen
        if self.refusal is not None:
            raise self.refusal
        async for piece in upload.content:
            self.pieces.append(piece)
        return {"name": name, "version": f"{name}@1", "state": "ready", "left_out": 0}


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def app(desk: Desk, registry: Registry) -> Any:
    router = uploads_router(desk, KeyGate(Keyring("admin"), ADMIN))
    return make_app(parts_over(registry), routers=[router])


@pytest.fixture
async def http(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


async def test_a_body_of_any_kind_is_passed_on(http: httpx.AsyncClient, desk: Desk) -> None:
    """With its size, if that is announced, and with who sends it."""
    answer = await http.put("/admin/adapters/finance", content=b"12345", headers=KEY)
    assert answer.json()["version"] == "finance@1"
    assert b"".join(desk.pieces) == b"12345"

    async def unannounced() -> AsyncIterator[bytes]:
        yield b"12"

    await http.put("/admin/adapters/shop", content=unannounced(), headers=KEY)
    assert desk.given == [("finance", 5, "admin"), ("shop", None, "admin")]


@pytest.mark.parametrize("seen", [None, "", "finance@3f9c1a2b4d5e"])
async def test_what_was_seen_is_passed_on(
    http: httpx.AsyncClient, desk: Desk, seen: str | None
) -> None:
    """Nothing is another thing than not to have said anything."""
    params = {} if seen is None else {"seen": seen}
    await http.put("/admin/adapters/finance", content=b"1", headers=KEY, params=params)
    assert desk.seen == seen


async def test_a_stranger_is_refused_before_the_body_is_read(
    http: httpx.AsyncClient, desk: Desk
) -> None:
    """And learns nothing of uploads."""
    assert (await http.put("/admin/adapters/finance", content=b"12345")).status_code == 401
    assert (await http.get("/admin/uploads")).status_code == 401
    assert desk.given == []


async def test_the_reasons_of_a_refusal_are_told_one_by_one(
    http: httpx.AsyncClient, desk: Desk
) -> None:
    """For a page that shows them to people."""
    reasons = ("too large a rank", "no such module")
    desk.refusal = AdapterRejected("finance", reasons, codes=("rank_over_limit", "module"))
    answer = await http.put("/admin/adapters/finance", content=b"12345", headers=KEY)
    assert answer.status_code == 409
    error = answer.json()["error"]
    assert error["code"] == "adapter_rejected"
    assert error["reasons"] == [*reasons]
    assert error["reason_codes"] == ["rank_over_limit", "module"]


async def test_it_is_told_whether_adapters_can_be_sent(http: httpx.AsyncClient) -> None:
    """And how large they may be."""
    answer = await http.get("/admin/uploads", headers=KEY)
    assert answer.json() == {"on": True, "most_bytes": 5, "reason": None}


async def test_a_client_that_leaves_half_way_is_no_bug(app: Any, desk: Desk) -> None:
    """What it had sent was passed on, and its end is told to whoever receives."""
    connection = Connection(app, "/admin/adapters/finance", KEY, method="PUT")
    connection.send(b"12", more=True)
    connection.leave()
    await connection.ended()
    assert desk.pieces == [b"12"]
    assert connection.code == 499
