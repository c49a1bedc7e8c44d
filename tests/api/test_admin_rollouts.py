"""Rollouts over HTTP: what a body may ask for, what comes back, and how each mistake is told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import generate_latest

from lorabay.api import auth
from lorabay.api.admin import admin_router
from lorabay.api.admin_rollouts import rollouts_router
from lorabay.api.auth import OpenGate
from lorabay.api.description.admin_answers import RolloutAnswer
from lorabay.api.keyring import Keyring
from lorabay.api.parts import Parts
from lorabay.base.shapes import BaseShapes
from lorabay.errors import AdapterRejected, EngineUnavailable
from lorabay.serving.admin import Operations
from lorabay.serving.engine import Answer, AnswerStream, Body
from lorabay.serving.manager import AdapterManager
from tests import making
from tests.api.conftest import client_of, make_app
from tests.fake_engine import echo
from tests.serving.bay import Bay
from tests.serving.mortal_engine import MortalEngine
from tests.slots import enough_slots
from tests.versions import BASE_NAMES
from tests.virtual_time import quiet

ADMIN = {"authorization": "Bearer key of the administrator"}
ROLLOUT = "/admin/adapters/ads/rollout"


class Office:
    """A server with `ads`, which keeps one former version."""

    def __init__(
        self, bay: Bay, manager: AdapterManager, engine: MortalEngine, http: httpx.AsyncClient
    ) -> None:
        self.bay, self.manager, self.engine, self.http = bay, manager, engine, http
        versions = bay.status("ads").kept
        self.live, self.former = versions[0], versions[1]

    async def post(self, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        return await self.http.post(path, json=body, headers=ADMIN)

    async def report(self) -> dict[str, Any]:
        report: dict[str, Any] = (await self.http.get(ROLLOUT, headers=ADMIN)).json()
        return report

    async def start(self, **body: Any) -> httpx.Response:
        return await self.post(ROLLOUT, {"version": self.former.id} | body)

    async def ask(self, number: int, model: str = "ads", **headers: str) -> httpx.Response:
        body = {"model": model, "messages": [], "user": f"user {number}"}
        return await self.http.post("/v1/chat/completions", json=body, headers=headers)

    async def versions(self, count: int = 60) -> list[str]:
        """Return the version that answers each of so many users."""
        answers = [await self.ask(number) for number in range(count)]
        return [answer.headers["x-adapter-version"] for answer in answers]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> BaseShapes:
    return BaseShapes.read(
        making.make_base(tmp_path_factory.mktemp("base") / "tiny"), names=BASE_NAMES
    )


@pytest.fixture
async def office(tmp_path: Path, shapes: BaseShapes) -> AsyncIterator[Office]:
    bay, engine = Bay(tmp_path, shapes), MortalEngine()
    manager = bay.manager(engine)
    await manager.start()
    for weights in (1, 2):
        await bay.serve("ads", weights)
    await quiet()
    operations = Operations(manager, bay.reconciler)
    gate = auth.choose_admin_gate(Keyring("key of the administrator"))
    app = make_app(
        Parts(
            manager.engine,
            bay.registry,
            manager,
            enough_slots(),
            bay.metrics,
            rollouts=manager.rollouts,
        ),
        OpenGate(),
        routers=[admin_router(operations, gate), rollouts_router(operations, gate)],
    )
    async with client_of(app) as http:
        yield Office(bay, manager, engine, http)
    await manager.stop()
    bay.store.close()


async def test_a_rollout_from_its_start_to_its_promotion(office: Office) -> None:
    """Half of the users get the former version, each always the same; then all do."""
    started = await office.start(share=50)
    assert started.status_code == 200, started.text
    RolloutAnswer.model_validate(started.json(), strict=True)
    first = await office.versions()
    assert first == await office.versions()
    former, live = office.former.digest[:12], office.live.digest[:12]
    assert 15 < first.count(former) < 45
    assert set(first) == {former, live}

    report = await office.report()
    assert report["status"] == "running"
    assert report["answers"] == {"live": 2 * first.count(live), "canary": 2 * first.count(former)}

    promoted = await office.post(f"{ROLLOUT}/promote")
    assert (promoted.status_code, promoted.json()["status"]) == (200, "promoted")
    assert set(await office.versions()) == {former}


async def test_an_answer_has_the_name_that_was_asked_for(office: Office) -> None:
    """Nobody sees by the `model` of an answer whether it is the canary's."""
    await office.start(steps=["100:1h"])
    answer = await office.ask(1)
    assert answer.json()["model"] == "ads"
    assert answer.headers["x-adapter-version"] == office.former.digest[:12]
    named = await office.ask(1, model="ads@canary")
    assert named.headers["x-adapter-version"] == office.former.digest[:12]
    other = await office.ask(1, model=office.live.id)
    assert other.headers["x-adapter-version"] == office.live.digest[:12]


async def test_a_session_stays_with_its_version(office: Office) -> None:
    """Whatever user each of its requests names."""
    await office.start(share=50, by="session")
    for session in range(10):
        asked = [await office.ask(user, **{"x-session-id": f"s{session}"}) for user in range(5)]
        assert len({answer.headers["x-adapter-version"] for answer in asked}) == 1


async def test_a_canary_that_fails_is_taken_back_while_clients_ask(office: Office) -> None:
    """After five failures nobody meets it any more, and the reason is where an operator looks."""

    async def reply(body: Body) -> Answer | AnswerStream:
        if office.engine.asked[-1][2] == office.former:
            raise EngineUnavailable("no answer with this version")
        return await echo(body)

    office.engine.reply = reply
    await office.start(share=30)
    codes = [(await office.ask(number)).status_code for number in range(200)]
    assert codes.count(503) == 5
    assert set(codes[codes.index(503) :][60:]) == {200}
    report = await office.report()
    assert (report["status"], report["share"]) == ("rolled_back", 0)
    assert "5 of 5 answers failed" in report["reason"]
    events = (await office.http.get("/admin/events", headers=ADMIN)).json()["events"]
    assert report["reason"] in [event["result"] for event in events]
    page = generate_latest(office.bay.metrics.registry).decode()
    assert 'lorabay_rollouts_ended_total{outcome="rolled_back"} 1.0' in page


@pytest.mark.parametrize("share", [100, 99.9999, 7])
async def test_a_share_stays_until_an_administrator_decides(office: Office, share: float) -> None:
    """Also one of everything, however often it has answered."""
    await office.start(share=share)
    await office.versions()
    await office.manager.rollouts.tick()
    report = await office.report()
    assert (report["status"], report["share"]) == ("running", round(share))
    assert (await office.start(steps=report["steps"])).status_code == 200


async def test_where_another_server_keeps_the_names_a_refused_canary_harms_nobody(
    office: Office,
) -> None:
    """Each client is answered with the live version, and the keeper hears of it."""
    await office.start(share=100)
    refused: list[str] = []

    class Keeper:
        def note(self, *told: Any) -> None: ...

        def note_refused(self, name: str, canary: str) -> None:
            refused.append(canary)

    office.manager.rollouts.share(lambda: False, Keeper())
    residency = office.manager.residency
    await residency.drop(office.former)
    # This server's engine has never held it.
    residency._has_held.clear()
    for _ in range(3):
        error = AdapterRejected("ads", ("no such module",))
        office.engine.fail(f"load {office.former.id}", error)
    answers = [await office.ask(number) for number in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert {answer.headers["x-adapter-version"] for answer in answers} == {office.live.digest[:12]}
    assert refused == [office.former.digest]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "either share"),
        ({"share": 5, "steps": ["5"]}, "either share"),
        ({"share": 100.1}, "less than or equal to 100"),
        ({"share": -1}, "greater than or equal to 0"),
        ({"steps": ["101"]}, "between 0 and 100"),
        ({"share": "ten"}, "share"),
        ({"share": True}, "share"),
        ({"steps": []}, "1 to 20"),
        ({"steps": ["5", "10"]}, "has no time"),
        ({"steps": ["25:1m", "5"]}, "must grow"),
        ({"steps": "5:1m"}, "steps"),
        ({"share": 5, "by": "ip"}, "key, user, session"),
        ({"share": 5, "guards": {"errors": 1}}, "no guard"),
        ({"share": 5, "guards": {"length": -1}}, "length must be"),
        ({"share": 5, "guards": {"length": [1]}}, "guards"),
        ({"share": 5, "extra": 1}, "extra"),
        ({"share": 5, "version": 7}, "version"),
    ],
)
async def test_a_wrong_body_says_what_is_wrong(
    office: Office, body: dict[str, Any], told: str
) -> None:
    """A 400 each, and nothing begins."""
    answer = await office.start(**body)
    assert answer.status_code == 400, answer.text
    assert told in json.dumps(answer.json()["error"])
    assert office.bay.status("ads").canary is None


async def test_wishes_that_do_not_fit_say_what_to_do(office: Office) -> None:
    """A 404 for what is not there, a 409 for what is in the way."""

    async def told(answer: httpx.Response, status: int) -> str:
        assert answer.status_code == status, answer.text
        return str(answer.json()["error"]["message"])

    assert "does not exist" in await told(
        await office.post("/admin/adapters/nobody/rollout", {"share": 5}), 404
    )
    assert "has had no rollout" in await told(await office.http.get(ROLLOUT, headers=ADMIN), 404)
    assert "no kept version" in await told(await office.start(share=5, version="f" * 64), 409)
    assert "no kept version" in await told(await office.start(share=5, version="shop@x"), 409)
    assert "live version already" in await told(
        await office.start(share=5, version=office.live.digest), 409
    )
    assert office.former.id in await told(await office.post(ROLLOUT, {"share": 5}), 409)
    assert "start one first" in await told(await office.post(f"{ROLLOUT}/stop"), 409)
    assert "start one first" in await told(await office.post(f"{ROLLOUT}/promote"), 409)
    await office.start(share=50)
    assert "sent back" in await told(await office.start(share=5), 409)
    stopped = await office.post(f"{ROLLOUT}/stop")
    assert stopped.json()["reason"] == "stopped by admin"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", ""), ("POST", "/promote"), ("POST", "/stop")],
)
async def test_without_the_admin_key_nothing_is_told(
    office: Office, method: str, path: str
) -> None:
    """No path answers a stranger."""
    answer = await office.http.request(method, ROLLOUT + path, json={"share": 5})
    assert answer.status_code == 401
    assert office.bay.status("ads").canary is None
