"""`/admin/keys`: who may call, what comes back, and everything that can be wrong about it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from lorabay.accounts.database.database import Database
from lorabay.accounts.keys.desk import KeyDesk
from lorabay.accounts.keys.key_form import read_key
from lorabay.accounts.keys.snapshot import KeySnapshot
from lorabay.api import auth
from lorabay.api.admin_keys import keys_router
from lorabay.api.auth import AccountGate, KeyGate
from lorabay.api.keyring import Keyring
from lorabay.catalog.registry.registry import Registry
from lorabay.errors import SetupError
from tests.api.conftest import client_of, make_app, parts_over
from tests.versions import make_version

ADMIN_KEY = "key of the administrator"
ADMIN = {"authorization": f"Bearer {ADMIN_KEY}"}
PATHS = (
    ("GET", "/admin/keys"),
    ("POST", "/admin/keys"),
    ("GET", "/admin/keys/CI"),
    ("POST", "/admin/keys/CI/rotate"),
    ("POST", "/admin/keys/CI/revoke"),
)


@dataclass(frozen=True)
class Office:
    """A server with accounts and the adapter `finance`, and a connected administrator."""

    database: Database
    http: httpx.AsyncClient

    async def post(self, path: str, body: Any = None) -> httpx.Response:
        return await self.http.post(path, json=body, headers=ADMIN)

    async def get(self, path: str) -> httpx.Response:
        return await self.http.get(path, headers=ADMIN)

    async def create(self, **wishes: Any) -> Any:
        response = await self.post("/admin/keys", {"name": "CI"} | wishes)
        assert response.status_code == 200, response.text
        return response.json()

    async def models(self, key: str) -> httpx.Response:
        return await self.http.get("/v1/models", headers={"authorization": f"Bearer {key}"})


@pytest.fixture
async def office(sqlite: Database, registry: Registry) -> AsyncIterator[Office]:
    registry.set_live(make_version("finance"))
    snapshot = KeySnapshot(sqlite, max_age_s=60)
    snapshot.load()
    admin_gate = KeyGate(Keyring(ADMIN_KEY), auth.ADMIN)
    router = keys_router(KeyDesk(sqlite, snapshot), admin_gate, registry.names)
    app = make_app(parts_over(registry), AccountGate(snapshot, Keyring()), routers=[router])
    async with client_of(app) as http:
        yield Office(sqlite, http)


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_without_the_admin_key_every_path_is_closed(
    office: Office, method: str, path: str
) -> None:
    """Also with a key of a client, which may use everything."""
    key = (await office.create())["key"]
    for headers in ({}, {"authorization": f"Bearer {key}"}, {"x-api-key": key}):
        response = await office.http.request(method, path, headers=headers, json={"name": "x"})
        assert response.status_code == 401
    assert len((await office.get("/admin/keys")).json()["keys"]) == 1


async def test_a_key_works_as_soon_as_it_is_made(office: Office) -> None:
    """Its text is in one answer, which no cache may keep, and never again."""
    wishes = {
        "name": "CI",
        "tenant": "retail",
        "adapters": "finance,base",
        "endpoints": ["chat"],
        "requests_per_minute": 60,
        "parallel": 2,
        "expires": "90d",
    }
    response = await office.post("/admin/keys", wishes)
    made = response.json()
    assert response.headers["cache-control"] == "no-store"
    sent = read_key(made["key"])
    assert sent is not None
    assert sent.id == made["id"]
    assert (made["adapters"], made["endpoints"]) == (["finance", "base"], ["chat"])
    assert (made["requests_per_minute"], made["tokens_per_day"], made["parallel"]) == (60, None, 2)
    assert (made["tenant"], made["created_by"], made["state"]) == ("retail", "admin", "active")
    assert made["warnings"] == []
    assert (await office.models(made["key"])).status_code == 200

    listed = await office.get("/admin/keys?tenant=retail")
    shown = await office.get("/admin/keys/CI")
    assert listed.json()["keys"] == [shown.json()]
    assert made["key"].split("_")[2] not in listed.text + shown.text


async def test_a_rotated_key_and_a_revoked_one(office: Office) -> None:
    """Both secrets work for a while, or the new one alone; a revoked key says when."""
    first = (await office.create())["key"]
    second = (await office.post("/admin/keys/CI/rotate")).json()["key"]
    assert (await office.models(first)).status_code == 200
    third = (await office.post("/admin/keys/CI/rotate", {"overlap": "0"})).json()["key"]
    assert [(await office.models(key)).status_code for key in (first, second, third)] == [
        401,
        401,
        200,
    ]
    ended = (await office.post("/admin/keys/CI/revoke")).json()
    assert (ended["state"], ended["revoked_by"]) == ("revoked", "admin")
    refused = await office.models(third)
    assert refused.status_code == 401
    assert ended["revoked_at"] in refused.json()["error"]["message"]


async def test_an_adapter_that_is_not_there_is_a_warning(office: Office) -> None:
    """The key is made all the same: the adapter may come later."""
    made = await office.create(adapters="finance,finanec,shop-*,tag:legal")
    assert len(made["warnings"]) == 2
    assert "'finanec'" in made["warnings"][0]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": 7},
        {"name": "x", "nonsense": 1},
        {"name": "x", "adapters": ""},
        {"name": "x", "adapters": "../x"},
        {"name": "x", "adapters": 7},
        {"name": "x", "endpoints": ["chatt"]},
        {"name": "x", "tenant": "a b"},
        {"name": "x", "parallel": -1},
        {"name": "x", "parallel": "2"},
        {"name": "x", "parallel": True},
        {"name": "x", "parallel": 1.5},
        {"name": "x", "parallel": 10**40},
        {"name": "x", "expires": "soon"},
        {"name": "x\u0000"},
        [],
    ],
)
async def test_a_wish_that_makes_no_sense_is_400(office: Office, body: Any) -> None:
    """And makes nothing."""
    response = await office.post("/admin/keys", body)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_request"
    assert (await office.get("/admin/keys")).json() == {"keys": []}


async def test_what_is_not_there_is_404_and_what_does_not_fit_409(office: Office) -> None:
    """In the envelope, with a code of its own."""
    await office.create()
    for path in ("/admin/keys/no", "/admin/keys/no/rotate", "/admin/keys/no/revoke"):
        method = "GET" if path.endswith("no") else "POST"
        response = await office.http.request(method, path, headers=ADMIN)
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "key_not_found"
    again = await office.post("/admin/keys", {"name": "CI"})
    assert again.status_code == 409
    assert again.json()["error"]["code"] == "key_conflict"
    wrong = await office.post("/admin/keys/CI/rotate", {"overlap": "soon"})
    assert wrong.status_code == 400


async def test_a_database_that_is_gone_is_503(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its place; clients' keys work on."""
    key = (await office.create())["key"]

    async def gone(_: object) -> None:
        raise SetupError("the database postgresql://db cannot be used")

    monkeypatch.setattr(office.database, "in_reader", gone)
    monkeypatch.setattr(office.database, "in_writer", gone)
    for response in (await office.get("/admin/keys"), await office.post("/admin/keys/CI/revoke")):
        assert response.status_code == 503
        assert response.json()["error"]["code"] == "storage_unavailable"
        assert "postgresql" not in response.text
    assert (await office.models(key)).status_code == 200
