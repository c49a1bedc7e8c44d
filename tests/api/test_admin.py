"""The admin paths over HTTP: who may call, what comes back, and vLLM's two verbs to the letter."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import generate_latest

from lorabay.api import auth
from lorabay.api.admin import admin_router
from lorabay.api.admin_bodies import MAX_BODY_BYTES
from lorabay.api.auth import KEY_OWNER, ClosedGate, Gate, KeyGate
from lorabay.api.keyring import Keyring
from lorabay.api.parts import Parts
from lorabay.base.shapes import BaseShapes
from lorabay.catalog.canonical import UNTRAINED
from lorabay.errors import AdapterRejected
from lorabay.files.adapter_folder import WEIGHTS_FILE
from lorabay.serving.admin import Operations
from lorabay.serving.engine import CHAT, Answer, AnswerStream, Body
from tests import making
from tests.api.conftest import client_of, make_app
from tests.api.connection import Connection
from tests.fake_engine import echo
from tests.serving.bay import Bay
from tests.serving.mortal_engine import MortalEngine
from tests.slots import enough_slots
from tests.versions import BASE_NAMES
from tests.virtual_time import quiet

ADMIN_KEY, USER_KEY = "key of the administrator", "key of a user"
ADMIN, USER = {"authorization": f"Bearer {ADMIN_KEY}"}, {"authorization": f"Bearer {USER_KEY}"}
DIGEST = "f" * 64
PATHS = (
    ("GET", "/admin/adapters"),
    ("GET", "/admin/adapters/ads"),
    ("GET", "/admin/events"),
    ("POST", "/admin/rescan"),
    ("POST", "/admin/adapters/ads/pin"),
    ("POST", "/admin/adapters/ads/unpin"),
    ("POST", "/admin/adapters/ads/preload"),
    ("POST", "/admin/adapters/ads/rollback"),
    ("POST", "/admin/adapters/ads/unload"),
    ("DELETE", f"/admin/versions/{DIGEST}"),
    ("POST", "/v1/load_lora_adapter"),
    ("POST", "/v1/unload_lora_adapter"),
)
LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"


@dataclass(frozen=True)
class Office:
    """A server with `ads`, which has a former version, and a connected administrator."""

    bay: Bay
    engine: MortalEngine
    app: Any
    http: httpx.AsyncClient

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        return await self.http.request(method, path, headers=ADMIN, **options)

    async def post(self, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        return await self.call("POST", path, json=body)

    async def events(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = (await self.call("GET", "/admin/events")).json()["events"]
        return events


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> BaseShapes:
    return BaseShapes.read(
        making.make_base(tmp_path_factory.mktemp("base") / "tiny"), names=BASE_NAMES
    )


@pytest.fixture
def admin_gate() -> Gate:
    return KeyGate(Keyring(ADMIN_KEY), auth.ADMIN)


@pytest.fixture
async def office(tmp_path: Path, shapes: BaseShapes, admin_gate: Gate) -> AsyncIterator[Office]:
    bay, engine = Bay(tmp_path, shapes), MortalEngine()
    manager = bay.manager(engine)
    await manager.start()
    for weights in (1, 2):
        await bay.serve("ads", weights)
    await quiet()
    app = make_app(
        Parts(manager.engine, bay.registry, manager, enough_slots(), bay.metrics),
        KeyGate(Keyring(USER_KEY), KEY_OWNER),
        routers=[admin_router(Operations(manager, bay.reconciler), admin_gate)],
    )
    async with client_of(app) as http:
        yield Office(bay, engine, app, http)
    await manager.stop()
    bay.store.close()


def is_error(response: httpx.Response, status: int, code: str) -> bool:
    return response.status_code == status and response.json()["error"]["code"] == code


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize(
    "headers", [{}, USER, {"authorization": f"Basic {ADMIN_KEY}"}], ids=["none", "user", "basic"]
)
async def test_without_the_admin_key_every_path_is_closed(
    office: Office, method: str, path: str, headers: dict[str, str]
) -> None:
    """No key, a user's key and a wrong scheme give 401, and nothing happens."""
    before = office.bay.registry.snapshot()
    response = await office.http.request(
        method, path, headers=headers, json={"lora_name": "ads", "lora_path": "/x"}
    )
    assert is_error(response, 401, "invalid_api_key")
    assert response.headers["www-authenticate"] == "Bearer"
    assert office.bay.registry.snapshot() == before
    assert not [event for event in office.bay.events.latest() if event.who != "folder"]


class TestWithoutAnAdminKey:
    """A server that was started without one."""

    @pytest.fixture
    def admin_gate(self) -> Gate:
        return ClosedGate()

    @pytest.mark.parametrize(("method", "path"), PATHS)
    async def test_nobody_gets_in(self, office: Office, method: str, path: str) -> None:
        """Every path gives 403 and says what to do, whatever key is sent."""
        response = await office.call(method, path)
        assert is_error(response, 403, "permission_denied")
        assert "--admin-key" in response.json()["error"]["message"]


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_with_the_admin_key_every_path_answers(
    office: Office, method: str, path: str
) -> None:
    """Every path returns a result, or an error that is about the request and not the key."""
    response = await office.call(method, path)
    assert response.status_code in (200, 400, 404, 409)


async def test_the_admin_key_is_no_users_key(office: Office) -> None:
    """Neither key opens what the other does."""
    response = await office.http.get("/v1/models", headers=ADMIN)
    assert is_error(response, 401, "invalid_api_key")


@pytest.mark.parametrize("path", [LOAD, UNLOAD, "/admin/adapters/ads/rollback"])
async def test_the_key_is_asked_for_before_the_body(office: Office, path: str) -> None:
    """Without the key, the server neither reads nor judges a body."""
    connection = Connection(office.app, path, {"content-type": "application/json"})
    await connection.ended()
    assert connection.code == 401
    assert connection.received == 0


@pytest.mark.parametrize("path", [LOAD, UNLOAD, "/admin/adapters/ads/rollback"])
@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"x" * (MAX_BODY_BYTES + 1), "application/json", 413),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"lora_name": 1, "version": 1}', "application/json", 400),
        (b'{"lora_name": "\\ud800", "version": "\\ud800"}', "application/json", 400),
        (b"lora_name=ads", "application/x-www-form-urlencoded", 415),
    ],
    ids=["too large", "cut off", "no object", "no UTF-8", "wrong type", "no text", "a form"],
)
async def test_a_bad_body_is_refused(
    office: Office, path: str, content: bytes, kind: str, status: int
) -> None:
    """A bad body is refused in the envelope, with the status that fits."""
    response = await office.http.post(path, content=content, headers=ADMIN | {"content-type": kind})
    assert response.status_code == status
    assert response.json()["error"]["type"] == "invalid_request_error"


async def test_adapters_are_listed(office: Office) -> None:
    """The list holds all adapters, a path shows one, and an unknown name is a 404."""
    response = await office.call("GET", "/admin/adapters")
    (ads,) = response.json()["adapters"]
    assert (ads["name"], ads["state"], ads["live"]) == (
        "ads",
        "ready",
        office.bay.version("ads", 2).id,
    )
    assert (await office.call("GET", "/admin/adapters/ads")).json() == ads
    assert is_error(await office.call("GET", "/admin/adapters/law"), 404, "model_not_found")


async def test_a_folder_whose_name_is_no_text_breaks_no_answer(office: Office) -> None:
    """Such a folder is shown in lists, events and metrics like any other bad folder."""
    office.bay.put(os.fsdecode(b"\xff\xfe"), 3)
    await office.bay.look()
    adapters = (await office.call("GET", "/admin/adapters")).json()["adapters"]
    assert {adapter["name"]: adapter["state"] for adapter in adapters}[r"\xff\xfe"] == "rejected"
    events = (await office.call("GET", "/admin/events")).json()["events"]
    assert r"\xff\xfe" in {event["adapter"] for event in events}
    assert generate_latest(office.bay.metrics.registry)


async def test_a_rescan_gives_the_adapters(office: Office) -> None:
    """A rescan returns the adapters as they are after the look."""
    office.bay.put("law", 3)
    response = await office.post("/admin/rescan")
    assert [adapter["name"] for adapter in response.json()["adapters"]] == ["ads", "law"]


async def test_pin_unpin_and_preload_give_the_adapter(office: Office) -> None:
    """Each returns the adapter as it is afterwards, and a 404 for an unknown name."""
    assert (await office.post("/admin/adapters/ads/pin")).json()["pinned"] is True
    assert (await office.post("/admin/adapters/ads/unpin")).json()["pinned"] is False
    assert (await office.post("/admin/adapters/ads/preload")).json()["versions"][0][
        "level"
    ] == "engine"
    for verb in ("pin", "unpin", "preload"):
        assert is_error(await office.post(f"/admin/adapters/law/{verb}"), 404, "model_not_found")


async def test_a_load_that_the_engine_refuses_tells_the_reason(office: Office) -> None:
    """A refused load is a 409 with the engine's reason, where a client would see a 404."""
    office.bay.make(3).rename(office.bay.root / ".checkpoint")
    office.engine.fail(
        f"load {office.bay.version('law', 3).id}", AdapterRejected("law", ("no such module",))
    )
    response = await office.post(LOAD, body_for("law", office.bay.root / ".checkpoint"))
    assert is_error(response, 409, "adapter_rejected")
    assert "no such module" in response.json()["error"]["message"]
    (failed, *_) = await office.events()
    assert (failed["what"], failed["adapter"]) == ("loaded", "law")
    assert "no such module" in failed["result"]


@pytest.mark.parametrize("body", [None, {}, {"version": None}, {"version": "digest"}])
async def test_a_rollback_takes_a_version_or_the_newest_former_one(
    office: Office, body: dict[str, Any] | None
) -> None:
    """Without a version in its body, a rollback goes to the one before."""
    old = office.bay.version("ads", 1)
    if body and body["version"]:
        body = {"version": old.digest[:12]}
    response = await office.post("/admin/adapters/ads/rollback", body)
    assert response.status_code == 200
    assert (response.json()["live"], response.json()["rolled_back"]) == (old.id, True)


async def test_a_rollback_can_be_taken_back(office: Office) -> None:
    """A rollback to what the folder holds ends the rollback."""
    await office.post("/admin/adapters/ads/rollback")
    new = office.bay.version("ads", 2)
    ads = (await office.post("/admin/adapters/ads/rollback", {"version": new.digest})).json()
    assert (ads["live"], ads["rolled_back"]) == (new.id, False)


async def test_a_rollback_to_what_is_not_there_is_a_conflict(office: Office) -> None:
    """A digest that is not kept is 409, an unknown name 404, an unknown field 400."""
    response = await office.post("/admin/adapters/ads/rollback", {"version": DIGEST})
    assert is_error(response, 409, "adapter_conflict")
    assert is_error(await office.post("/admin/adapters/law/rollback"), 404, "model_not_found")
    response = await office.post("/admin/adapters/ads/rollback", {"digest": DIGEST})
    assert is_error(response, 400, "invalid_request")


async def test_an_unloaded_adapter_is_gone_from_the_models(office: Office) -> None:
    """An unloaded adapter is gone at once, for every client."""
    assert (await office.post("/admin/adapters/ads/unload")).json() == {"unloaded": "ads"}
    models = (await office.http.get("/v1/models", headers=USER)).json()["data"]
    assert [model["id"] for model in models] == list(BASE_NAMES)
    assert is_error(await office.post("/admin/adapters/ads/unload"), 404, "model_not_found")


async def test_a_version_is_deleted_by_its_digest(office: Office) -> None:
    """A former version can be deleted; the live one is a conflict."""
    old, live = office.bay.version("ads", 1), office.bay.version("ads", 2)
    response = await office.call("DELETE", f"/admin/versions/{old.digest}")
    assert response.json() == {"deleted": old.digest}
    assert office.bay.in_store() == {live.digest}
    assert is_error(
        await office.call("DELETE", f"/admin/versions/{live.digest}"), 409, "adapter_conflict"
    )


async def test_events_name_the_request(office: Office) -> None:
    """An event's `request_id` is the one that the administrator's answer carried."""
    response = await office.http.post(
        "/admin/adapters/ads/pin", headers=ADMIN | {"x-request-id": "ticket-17"}
    )
    (pinned, *_) = await office.events()
    assert response.headers["x-request-id"] == "ticket-17"
    assert pinned | {"when": ""} == {
        "when": "",
        "who": "admin",
        "request_id": "ticket-17",
        "what": "pinned",
        "adapter": "ads",
        "version": None,
        "result": "ok",
    }
    assert len((await office.call("GET", "/admin/events?count=1")).json()["events"]) == 1
    assert office.bay.events.flush(30)
    lines = (office.bay.folder / "store" / "events.jsonl").read_text().splitlines()
    assert json.loads(lines[-1]) == pinned


@pytest.mark.parametrize("chosen", ["engine", "folder", "admin"])
async def test_a_request_cannot_choose_who_it_is(office: Office, chosen: str) -> None:
    """Whatever its id says, an administrator's call is booked as an administrator's."""
    headers = ADMIN | {"x-request-id": chosen}
    await office.http.post("/admin/adapters/ads/unload", headers=headers)
    (removed, *_) = await office.events()
    assert (removed["what"], removed["who"], removed["request_id"]) == ("removed", "admin", chosen)


async def test_what_happens_by_itself_has_no_request(office: Office) -> None:
    """Events of the directory name no request."""
    events = await office.events()
    assert {(event["who"], event["request_id"]) for event in events} == {("folder", None)}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "/admin/versions/{former}", None),
        ("POST", LOAD, {"lora_name": "law", "lora_path": "{folder}"}),
    ],
)
async def test_a_store_that_is_away_is_a_503(
    office: Office, tmp_path: Path, method: str, path: str, body: dict[str, str] | None
) -> None:
    """With a time to try again, no path of the server, and nothing changed; the same call passes
    when the store is back.
    """
    former = office.bay.version("ads", 1)
    office.bay.make(4).rename(office.bay.root / ".law")
    paths = {"former": former.digest, "folder": str(office.bay.root / ".law")}
    path = path.format(**paths)
    if body is not None:
        body = {name: text.format(**paths) for name, text in body.items()}
    versions, elsewhere = tmp_path / "store" / "versions", tmp_path / "elsewhere"
    before = (await office.call("GET", "/admin/adapters")).json()

    versions.rename(elsewhere)
    response = await office.call(method, path, json=body)
    assert is_error(response, 503, "storage_unavailable")
    assert int(response.headers["retry-after"]) > 0
    assert str(tmp_path) not in response.json()["error"]["message"]
    assert (await office.call("GET", "/admin/adapters")).json() == before

    elsewhere.rename(versions)
    assert (await office.call(method, path, json=body)).status_code == 200


@pytest.mark.parametrize("what", ["rescan", "load"])
async def test_a_directory_that_is_away_is_a_503(office: Office, tmp_path: Path, what: str) -> None:
    """What is served stays, and the administrator hears that nothing could be looked at."""
    office.bay.make(4).rename(office.bay.root / "law")
    office.bay.root.rename(tmp_path / "elsewhere")
    body = {"lora_name": "law", "lora_path": str(office.bay.root / "law")}
    call = ("/admin/rescan", None) if what == "rescan" else (LOAD, body)
    assert is_error(await office.post(*call), 503, "storage_unavailable")
    assert office.bay.registry.names() == ("ads",)

    (tmp_path / "elsewhere").rename(office.bay.root)
    assert (await office.post(*call)).status_code == 200


async def test_a_failure_is_an_event_too(office: Office) -> None:
    """The event of a failure names the request and says why nothing was done."""
    await office.http.post(
        "/admin/adapters/nobody/pin", headers=ADMIN | {"x-request-id": "ticket-18"}
    )
    (failed, *_) = await office.events()
    assert (failed["who"], failed["request_id"]) == ("admin", "ticket-18")
    assert (failed["what"], failed["adapter"]) == ("pinned", "nobody")
    assert "nobody" in failed["result"]


@pytest.mark.parametrize("count", ["0", "-1", "1001", "many"])
async def test_a_count_of_events_has_bounds(office: Office, count: str) -> None:
    """A count that is not between 1 and 1000 is a bad request."""
    assert is_error(
        await office.call("GET", f"/admin/events?count={count}"), 400, "invalid_request"
    )


def body_for(name: str, path: Path, **fields: object) -> dict[str, Any]:
    """Return a body of vLLM's clients: every field, also those that have no effect here."""
    return {"lora_name": name, "lora_path": str(path), "is_3d_lora_weight": False} | fields


async def test_vllms_load_verb(office: Office) -> None:
    """Status and text are vLLM's, byte for byte, and the adapter answers afterwards."""
    office.bay.make(3).rename(office.bay.root / ".checkpoint")
    response = await office.post(
        LOAD, body_for("law", office.bay.root / ".checkpoint", load_inplace=False)
    )
    assert response.status_code == 200
    assert response.text == "Success: LoRA adapter 'law' added successfully."
    assert response.headers["content-type"].startswith("text/plain")
    answer = await office.http.post("/v1/chat/completions", headers=USER, json={"model": "law"})
    assert answer.headers["x-adapter-version"] == office.bay.version("law", 3).digest[:12]


async def test_a_trainer_may_load_its_adapter_before_the_first_step(office: Office) -> None:
    """B is all zeros then: the name is served, and its version has a warning; the first step takes
    its place, without one.
    """
    folder = office.bay.make(3)
    trained = making.load(folder / WEIGHTS_FILE)
    fresh = {
        name: making.stored(0 * making.values(tensor)) if "lora_B" in name else tensor
        for name, tensor in trained.items()
    }
    policy = making.make_adapter(office.bay.root / ".policy", tensors=fresh)
    warnings, digests = [], []
    for in_place in (False, True):
        response = await office.post(LOAD, body_for("policy", policy, load_inplace=in_place))
        assert response.status_code == 200, response.text
        answer = await office.http.post(CHAT.path, headers=USER, json={"model": "policy"})
        digests.append(answer.headers["x-adapter-version"])
        shown = (await office.call("GET", "/admin/adapters/policy")).json()
        (live,) = [version for version in shown["versions"] if version["live"]]
        warnings.append(live["warnings"])
        making.save(policy / WEIGHTS_FILE, trained)

    assert warnings == [[UNTRAINED], []]
    assert digests[1] == office.bay.version("policy", 3).digest[:12] != digests[0]


async def test_vllms_unload_verb(office: Office) -> None:
    """Status and text are vLLM's, and the name is gone afterwards."""
    response = await office.post(UNLOAD, {"lora_name": "ads", "lora_int_id": 7})
    assert response.status_code == 200
    assert response.text == "Success: LoRA adapter 'ads' removed successfully."
    assert response.headers["content-type"].startswith("text/plain")
    assert not office.bay.registry.names()


async def test_load_in_place_is_a_safe_swap(office: Office) -> None:
    """A running request ends on the old weights, which are unloaded only then."""
    may_end = asyncio.Event()

    async def reply(body: Body) -> Answer | AnswerStream:
        if body.get("user") == "early":
            await may_end.wait()
        return await echo(body)

    office.engine.reply = reply
    old, new = office.bay.version("ads", 2), office.bay.version("ads", 3)

    async def ask(user: str) -> str:
        body = {"model": "ads", "user": user}
        return (await office.http.post("/v1/chat/completions", headers=USER, json=body)).headers[
            "x-adapter-version"
        ]

    early = asyncio.create_task(ask("early"))
    while not office.engine.asked:
        await asyncio.sleep(0)
    office.bay.make(3).rename(office.bay.root / ".checkpoint")
    response = await office.post(
        LOAD, body_for("ads", office.bay.root / ".checkpoint", load_inplace=True)
    )
    assert response.text == "Success: LoRA adapter 'ads' added successfully."
    assert await ask("late") == new.digest[:12]
    assert office.engine.loaded == {old, new}
    may_end.set()
    assert await early == old.digest[:12]
    while old in office.engine.loaded:
        await asyncio.sleep(0)
    assert office.engine.loaded == {new}


async def test_equal_weights_load_again_with_success(office: Office) -> None:
    """Loading equal weights again succeeds, in place or not, and changes nothing."""
    before = office.bay.registry.snapshot()
    for in_place in (False, True):
        response = await office.post(
            LOAD, body_for("ads", office.bay.root / "ads", load_inplace=in_place)
        )
        assert response.text == "Success: LoRA adapter 'ads' added successfully."
    assert office.bay.registry.snapshot() == before


async def test_other_weights_need_load_in_place(office: Office) -> None:
    """Without `load_inplace` the answer is vLLM's refusal, and the old weights stay."""
    office.bay.make(3).rename(office.bay.root / ".checkpoint")
    response = await office.post(LOAD, body_for("ads", office.bay.root / ".checkpoint"))
    assert response.status_code == 400
    assert response.json()["error"]["message"] == (
        "The lora adapter 'ads' has already been loaded. "
        "If you want to load the adapter in place, set 'load_inplace' to True."
    )
    assert office.bay.live("ads") == office.bay.version("ads", 2)


@pytest.mark.parametrize(
    "body", [{}, {"lora_name": "ads"}, {"lora_path": "/x"}, {"lora_name": "", "lora_path": ""}]
)
async def test_a_load_without_name_or_path_is_vllms_error(
    office: Office, body: dict[str, Any]
) -> None:
    """A load without a name or a path is a 400 with vLLM's words."""
    response = await office.post(LOAD, body)
    assert response.status_code == 400
    assert (
        response.json()["error"]["message"] == "Both 'lora_name' and 'lora_path' must be provided."
    )


async def test_an_unload_without_a_name_is_vllms_error(office: Office) -> None:
    """An unload without a name is a 400 with vLLM's words."""
    response = await office.post(UNLOAD, {})
    assert response.status_code == 400
    assert (
        response.json()["error"]["message"]
        == "'lora_name' needs to be provided to unload a LoRA adapter."
    )


async def test_an_unload_of_what_is_not_served_is_vllms_error(office: Office) -> None:
    """An unload of an unknown name is a 404 with vLLM's words."""
    response = await office.post(UNLOAD, {"lora_name": "law"})
    assert is_error(response, 404, "model_not_found")
    assert response.json()["error"]["message"] == "The lora adapter 'law' cannot be found."


async def test_a_load_from_a_path_without_a_folder_is_a_404(office: Office) -> None:
    """A load from a path without a folder is a 404 with vLLM's words."""
    path = office.bay.root / "nothing"
    response = await office.post(LOAD, body_for("law", path))
    assert is_error(response, 404, "model_not_found")
    assert (
        response.json()["error"]["message"]
        == f"Loading lora law failed: No adapter found for {path}"
    )


async def test_a_load_from_outside_the_roots_is_forbidden(office: Office, tmp_path: Path) -> None:
    """A path outside the roots is a 403, written plainly or hidden behind a link."""
    outside = office.bay.make(3)
    (office.bay.root / ".link").symlink_to(outside)
    for path in (
        outside,
        office.bay.root / ".link",
        office.bay.root / ".." / outside.relative_to(tmp_path),
    ):
        response = await office.post(LOAD, body_for("law", path))
        assert is_error(response, 403, "permission_denied")
    assert office.bay.registry.names() == ("ads",)


@pytest.mark.parametrize("name", BASE_NAMES)
async def test_a_load_under_the_bases_name_is_vllms_error(office: Office, name: str) -> None:
    """A load under the base's name is a 400 with vLLM's words."""
    response = await office.post(LOAD, body_for(name, office.bay.root / "ads", load_inplace=True))
    assert response.status_code == 400
    assert (
        response.json()["error"]["message"]
        == f"The lora adapter '{name}' conflicts with a served base model."
    )


@pytest.mark.parametrize("name", ["base", "a/b", "x" * 65])
async def test_a_reserved_or_unfit_name_is_refused(office: Office, name: str) -> None:
    """A reserved or unfit name is a 409 with the reason."""
    response = await office.post(LOAD, body_for(name, office.bay.root / "ads", load_inplace=True))
    assert is_error(response, 409, "adapter_rejected")


async def test_a_bad_folder_is_refused_with_every_reason(office: Office) -> None:
    """A bad folder is a 409 with every reason."""
    folder = office.bay.make(3)
    (folder / "adapter_config.json").write_text(json.dumps(making.lora_config(bias="some", r=0)))
    shutil.move(folder, office.bay.root / ".checkpoint")
    response = await office.post(LOAD, body_for("law", office.bay.root / ".checkpoint"))
    assert is_error(response, 409, "adapter_rejected")
    message = response.json()["error"]["message"]
    assert "bias" in message
    assert "rank" in message


async def test_the_api_description_names_every_path_and_body(office: Office) -> None:
    """A generated client knows them all, and the fields of vLLM's verbs."""
    document = (await office.http.get("/openapi.json")).json()
    paths = document["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    templates = {
        (method, path.replace("/ads", "/{name}").replace(DIGEST, "{digest}"))
        for method, path in PATHS
    }
    assert templates <= described
    for path, field in (
        (LOAD, "load_inplace"),
        (UNLOAD, "lora_int_id"),
        ("/admin/adapters/{name}/rollback", "version"),
    ):
        schema = paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        name = schema["$ref"].rpartition("/")[2]
        assert field in document["components"]["schemas"][name]["properties"]
