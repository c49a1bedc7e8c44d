"""The admin paths over HTTP: who may, what vLLM's callers send and read, and what each operation shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from lorabay.api.admin import admin_router
from lorabay.api.app import create_app
from lorabay.api.auth import ClosedGate, Gate, KeyGate, OpenGate
from lorabay.api.server import open_catalogue
from lorabay.catalog.base_shapes import BaseShapes
from lorabay.metrics import Metrics
from lorabay.serving.catalogue import Catalogue
from lorabay.serving.host import AdapterHost, Loading
from lorabay.serving.operations import Operations
from lorabay.settings import load_settings
from tests.catalog import making
from tests.fake_engine import FakeEngine
from tests.versions import BASE_NAMES

KEY = "admin-key"
LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
PATHS = (
    ("GET", "/admin/adapters"),
    ("GET", "/admin/adapters/finance"),
    ("GET", "/admin/events"),
    ("POST", "/admin/rescan"),
    ("POST", "/admin/adapters/finance/pin"),
    ("POST", "/admin/adapters/finance/unpin"),
    ("POST", "/admin/adapters/finance/preload"),
    ("POST", "/admin/adapters/finance/rollback"),
    ("POST", "/admin/adapters/finance/unload"),
    ("DELETE", "/admin/versions/" + "a" * 64),
    ("POST", LOAD),
    ("POST", UNLOAD),
)


@dataclass(frozen=True)
class Admin:
    """A server that runs, its folders, and a client with the admin key."""

    folder: Path
    catalogue: Catalogue
    http: httpx.AsyncClient

    def make(self, name: str, *, seed: int = 0, under: str = "adapters") -> Path:
        return making.make_adapter(self.folder / under / name, tensors=making.lora_tensors(seed=seed))

    async def adapter(self, name: str) -> dict[str, Any]:
        return dict((await self.http.get(f"/admin/adapters/{name}")).json())


def shapes_in(folder: Path) -> BaseShapes:
    return BaseShapes.read(making.make_base(folder / "tiny"), names=BASE_NAMES)


async def serve(folder: Path, gate: Gate, headers: dict[str, str]) -> AsyncIterator[Admin]:
    making.make_adapter(folder / "adapters" / "finance")
    flags = {"adapters": folder / "adapters", "allowed_roots": str(folder / "more"), "store": folder / "store"}
    metrics = Metrics(CollectorRegistry())
    catalogue = open_catalogue(load_settings(flags | {"settle_s": 0}, environ={}), shapes_in(folder), metrics)
    await catalogue.reconciler.settle()
    host = AdapterHost(FakeEngine(), catalogue, metrics, Loading(capacity=4, preload=2))
    router = admin_router(Operations(host, catalogue), gate)
    app = create_app(
        host.engine,
        catalogue.registry,
        metrics,
        OpenGate(),
        base_names=BASE_NAMES,
        max_body_bytes=1000,
        weights=host,
        routers=[router],
    )
    await host.start()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://server", headers=headers) as http:
        yield Admin(folder, catalogue, http)
    await host.stop()
    catalogue.store.close()


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    async for served in serve(tmp_path, KeyGate(KEY), {"authorization": f"Bearer {KEY}"}):
        yield served


@pytest.fixture
async def closed(tmp_path: Path) -> AsyncIterator[Admin]:
    async for served in serve(tmp_path, ClosedGate(), {}):
        yield served


async def test_without_the_admin_key_nothing_is_done(admin: Admin) -> None:
    """Every path asks for the key, before it reads a body, and changes nothing without it."""
    before = await admin.adapter("finance")
    for method, path in PATHS:
        for headers in ({"authorization": ""}, {"authorization": "Bearer wrong"}):
            response = await admin.http.request(method, path, headers=headers, content=b"\xff{")
            assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key"), path
    assert await admin.adapter("finance") == before


async def test_a_server_without_an_admin_key_has_no_admin(closed: Admin) -> None:
    """The paths exist, and say how to open them."""
    for method, path in PATHS:
        response = await closed.http.request(method, path, json={})
        assert (response.status_code, response.json()["error"]["code"]) == (403, "permission_denied"), path
        assert "--admin-key" in response.json()["error"]["message"]


async def test_an_adapter_is_described(admin: Admin) -> None:
    """State, versions and where their weights are; the list and the single view agree."""
    described = await admin.adapter("finance")
    version = admin.catalogue.registry.live("finance")
    assert version is not None
    assert (described["name"], described["state"], described["live"]) == ("finance", "ready", version.id)
    [shown] = described["versions"]
    assert (shown["digest"], shown["rank"], shown["level"], shown["leases"]) == (version.digest, 4, "engine", 0)
    assert (await admin.http.get("/admin/adapters")).json() == {"adapters": [described]}


async def test_a_rejected_folder_shows_its_reasons(admin: Admin) -> None:
    """What is not served is listed with every reason."""
    (admin.folder / "adapters" / "broken").mkdir()
    (admin.folder / "adapters" / "broken" / "adapter_config.json").write_text("{")
    listing = (await admin.http.post("/admin/rescan")).json()["adapters"]
    broken = next(adapter for adapter in listing if adapter["name"] == "broken")
    assert (broken["state"], broken["live"]) == ("rejected", None)
    assert all(reason["code"] and reason["text"] for reason in broken["reasons"])
    assert broken["reasons"]


@pytest.mark.parametrize(
    ("method", "path"),
    [(method, path.replace("finance", "nobody")) for method, path in PATHS if "finance" in path],
)
async def test_an_unknown_adapter_is_404(admin: Admin, method: str, path: str) -> None:
    """Nothing can be done with what nobody knows."""
    response = await admin.http.request(method, path)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")


async def test_vllms_verbs(admin: Admin) -> None:
    """A trainer that loads and unloads over vLLM's paths reads vLLM's replies."""
    folder = admin.make("step-100", under="more")
    body = {"lora_name": "news", "lora_path": str(folder)}
    response = await admin.http.post(LOAD, json=body)
    assert (response.status_code, response.text) == (200, "Success: LoRA adapter 'news' added successfully.")
    assert response.headers["content-type"].startswith("text/plain")
    assert (await admin.http.post("/tokenize", json={"model": "news"})).status_code == 200
    response = await admin.http.post(UNLOAD, json={"lora_name": "news", "lora_int_id": 7})
    assert (response.status_code, response.text) == (200, "Success: LoRA adapter 'news' removed successfully.")
    assert (await admin.http.post("/tokenize", json={"model": "news"})).status_code == 404


async def test_other_weights_need_load_inplace(admin: Admin) -> None:
    """Loading what is served is success; something else under its name is refused unless it is to replace it."""
    first, second = admin.make("one", under="more"), admin.make("two", seed=1, under="more")
    for _ in range(2):
        assert (await admin.http.post(LOAD, json={"lora_name": "news", "lora_path": str(first)})).status_code == 200
    before = (await admin.adapter("news"))["live"]
    body = {"lora_name": "news", "lora_path": str(second)}
    response = await admin.http.post(LOAD, json=body)
    assert response.status_code == 400
    assert "has already been loaded" in response.json()["error"]["message"]
    assert (await admin.adapter("news"))["live"] == before
    assert (await admin.http.post(LOAD, json=body | {"load_inplace": True})).status_code == 200
    assert (await admin.adapter("news"))["live"] != before


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        (LOAD, {}, 400, "Both 'lora_name' and 'lora_path' must be provided."),
        (LOAD, {"lora_name": "news"}, 400, "Both 'lora_name' and 'lora_path' must be provided."),
        (LOAD, {"lora_name": 7, "lora_path": "/x"}, 400, "lora_name"),
        (LOAD, {"lora_name": "news", "lora_path": "/etc"}, 403, "allowed root"),
        (LOAD, {"lora_name": "news", "lora_path": "adapters/finance"}, 403, "absolute path"),
        (LOAD, {"lora_name": "news", "lora_path": "/etc/\u0000"}, 403, "allowed root"),
        (LOAD, {"lora_name": "a/b", "lora_path": "/etc"}, 409, "letters"),
        (LOAD, {"lora_name": "tiny", "lora_path": "/etc"}, 409, "base"),
        (UNLOAD, {}, 400, "'lora_name' needs to be provided to unload a LoRA adapter."),
        (UNLOAD, {"lora_name": "news"}, 404, "The lora adapter 'news' cannot be found."),
        (UNLOAD, {"lora_name": "finance", "lora_int_id": "x"}, 400, "lora_int_id"),
        ("/admin/adapters/finance/rollback", {"version": 7}, 400, "version"),
        ("/admin/adapters/finance/rollback", {"versoin": "a"}, 400, "versoin"),
    ],
)
async def test_bad_bodies(admin: Admin, path: str, body: dict[str, object], status: int, message: str) -> None:
    """Each is refused in the envelope with a sentence that says what is wrong."""
    response = await admin.http.post(path, json=body)
    assert response.status_code == status
    assert message in response.json()["error"]["message"]


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[]", b'{"lora_name": "\\ud800"}', b"x" * 200_000])
async def test_broken_bodies_are_the_clients_fault(admin: Admin, content: bytes) -> None:
    """No body of an admin call is more than a client error, whatever its size."""
    response = await admin.http.post(LOAD, content=content, headers={"content-type": "application/json"})
    assert response.status_code in (400, 413)
    assert response.json()["error"]["code"]


async def test_rollback_and_back_again(admin: Admin) -> None:
    """Without a version it goes to the one before; a kept one can be named; what is not kept is a conflict."""
    first = (await admin.adapter("finance"))["live"]
    body = {"lora_name": "finance", "lora_path": str(admin.make("next", seed=1, under="more")), "load_inplace": True}
    assert (await admin.http.post(LOAD, json=body)).status_code == 200
    second = (await admin.adapter("finance"))["live"]
    assert first != second
    rolled_back = (await admin.http.post("/admin/adapters/finance/rollback")).json()
    assert (rolled_back["live"], rolled_back["rolled_back"]) == (first, True)
    digest = str(second).partition("@")[2]
    named = (await admin.http.post("/admin/adapters/finance/rollback", json={"version": digest})).json()
    assert (named["live"], named["rolled_back"]) == (second, False)
    response = await admin.http.post("/admin/adapters/finance/rollback", json={"version": "f" * 12})
    assert (response.status_code, response.json()["error"]["code"]) == (409, "adapter_conflict")


async def test_pins_are_shown(admin: Admin) -> None:
    """An adapter is pinned until it is unpinned."""
    assert (await admin.http.post("/admin/adapters/finance/pin")).json()["pinned"] is True
    assert (await admin.adapter("finance"))["pinned"] is True
    assert (await admin.http.post("/admin/adapters/finance/unpin")).json()["pinned"] is False


async def test_what_is_live_cannot_be_deleted(admin: Admin) -> None:
    """Deleting the live version is a conflict, and it goes on being served."""
    version = admin.catalogue.registry.live("finance")
    assert version is not None
    response = await admin.http.delete(f"/admin/versions/{version.digest}")
    assert (response.status_code, response.json()["error"]["code"]) == (409, "adapter_conflict")
    assert (await admin.http.post("/tokenize", json={"model": "finance"})).status_code == 200


async def test_events_tell_who_did_what(admin: Admin) -> None:
    """An operation is found under the id of the request that asked for it, newest first, failures included."""
    await admin.http.post("/admin/adapters/finance/pin", headers={"x-request-id": "by-me"})
    await admin.http.post("/admin/adapters/nobody/pin", headers={"x-request-id": "by-you"})
    events = (await admin.http.get("/admin/events")).json()["events"]
    mine = next(event for event in events if event["who"] == "by-me")
    yours = next(event for event in events if event["who"] == "by-you")
    assert (mine["what"], mine["adapter"], mine["result"]) == ("pinned", "finance", "ok")
    assert "nobody" in yours["result"]
    assert events.index(yours) < events.index(mine)
    assert len((await admin.http.get("/admin/events?count=1")).json()["events"]) == 1


@pytest.mark.parametrize("count", ["0", "1001", "many"])
async def test_a_senseless_count_is_400(admin: Admin, count: str) -> None:
    """Query values are checked like bodies."""
    response = await admin.http.get(f"/admin/events?count={count}")
    assert response.status_code == 400
    assert "count" in response.json()["error"]["message"]


async def test_the_paths_are_described(admin: Admin) -> None:
    """The API's description holds every admin path, with the bodies of those that take one."""
    document = (await admin.http.get("/openapi.json")).json()["paths"]
    described = {(method.upper(), path) for path, operations in document.items() for method in operations}
    templates = {(method, path.replace("finance", "{name}").replace("a" * 64, "{digest}")) for method, path in PATHS}
    assert templates <= described
    assert "lora_name" in str(document[LOAD]["post"]["requestBody"])
